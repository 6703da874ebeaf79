// SPDX-License-Identifier: MIT

// sleepers.go TASKS: that many goroutines, each asleep for a different time.

//go:build ignore

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// How long sleeper i sleeps: no two alike, between half a second and one and a half.
func nap(i, tasks int) time.Duration {
	return time.Second/2 + time.Second*time.Duration(i*7919%tasks)/time.Duration(tasks)
}

func main() {
	var all sync.WaitGroup
	var started int64
	tasks, before, began := argument(1), residentBytes(), cpuSeconds()
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func(i int) {
			defer all.Done()
			atomic.AddInt64(&started, 1)
			time.Sleep(nap(i, tasks))
		}(i)
	}
	for atomic.LoadInt64(&started) < int64(tasks) {
		time.Sleep(time.Millisecond)
	}
	asleep := residentBytes()
	all.Wait()
	each := -1.0
	if before >= 0 {
		each = float64(asleep-before) / float64(tasks)
	}
	report((cpuSeconds()-began)/float64(tasks)*1e6, each)
}
