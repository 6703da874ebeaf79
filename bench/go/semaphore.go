// SPDX-License-Identifier: MIT

// semaphore.go TASKS: that many goroutines share one permit: a channel with room for one, which
// goes to who has waited longest.

//go:build ignore

package main

import (
	"runtime"
	"sync"
)

type semaphore chan struct{}

func (s semaphore) acquire() { s <- struct{}{} }
func (s semaphore) release() { <-s }

func takeTurns(permits semaphore, n int) {
	permits.acquire()
	runtime.Gosched() // until everyone else is waiting
	permits.release()
	for i := 0; i < n; i++ {
		permits.acquire()
		permits.release()
	}
}

func main() {
	tasks, permits := argument(1), make(semaphore, 1)
	report(nsPerUnit(cpuOf(func(n int) {
		var all sync.WaitGroup
		all.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				defer all.Done()
				takeTurns(permits, n/tasks)
			}()
		}
		all.Wait()
	})))
}
