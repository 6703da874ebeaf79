// SPDX-License-Identifier: MIT

// queue.go CAPACITY: one goroutine puts numbers into a channel, another gets them.

//go:build ignore

package main

func produce(queue chan<- int, n int) {
	for i := 0; i < n; i++ {
		queue <- i
	}
	close(queue)
}

func main() {
	capacity := argument(1)
	report(nsPerUnit(cpuOf(func(n int) {
		queue := make(chan int, capacity)
		go produce(queue, n)
		for range queue {
		}
	})))
}
