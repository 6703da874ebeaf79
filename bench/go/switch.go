// SPDX-License-Identifier: MIT

// switch.go TASKS: that many goroutines give way.

//go:build ignore

package main

import (
	"runtime"
	"sync"
)

func main() {
	tasks := argument(1)
	report(nsPerUnit(cpuOf(func(n int) {
		var all sync.WaitGroup
		all.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() {
				defer all.Done()
				for i := n / tasks; i > 0; i-- {
					runtime.Gosched()
				}
			}()
		}
		all.Wait()
	})))
}
