// SPDX-License-Identifier: MIT

// offload.go JOBS: that many empty functions at a time, each in a goroutine of its own, which any
// thread may run: Go has no other workers. Prints wall-clock microseconds a job.

//go:build ignore

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func empty() {}

func offload(job func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		job()
	}()
	<-done
}

func main() {
	jobs := argument(1)
	report(nsPerUnit(func(n int) float64 {
		var all sync.WaitGroup
		began, left := time.Now(), int64(n)
		all.Add(jobs)
		for i := 0; i < jobs; i++ {
			go func() {
				defer all.Done()
				for atomic.AddInt64(&left, -1) >= 0 {
					offload(empty)
				}
			}()
		}
		all.Wait()
		return time.Since(began).Seconds()
	}) / 1000)
}
