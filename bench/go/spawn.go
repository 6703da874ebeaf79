// SPDX-License-Identifier: MIT

// An empty function is run by a goroutine and waited for, again and again.

//go:build ignore

package main

func empty() {}

func main() {
	report(nsPerUnit(cpuOf(func(n int) {
		for i := 0; i < n; i++ {
			done := make(chan struct{})
			go func() {
				defer close(done)
				empty()
			}()
			<-done
		}
	})))
}
