// SPDX-License-Identifier: MIT

// How the Go programs measure, the same as bench/measure.lua does. It is compiled together with
// each of them, which are programs of their own: go build measure.go switch.go.

//go:build ignore

package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

const longEnough = 0.4 // CPU seconds that a measured run lasts at least, roughly

// Go takes the alarm that ends other programs for nothing.
func init() {
	time.AfterFunc(time.Minute, func() { os.Exit(1) })
}

// CPU seconds of this process so far, those of the collector included.
func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) * 1e-9
}

// The CPU seconds that n units take.
func cpuOf(work func(n int)) func(n int) float64 {
	return func(n int) float64 {
		began := cpuSeconds()
		work(n)
		return cpuSeconds() - began
	}
}

// Nanoseconds a unit, where seconds(n) does n units and answers how long they took. The short runs
// that find the right n are the warm-up.
func nsPerUnit(seconds func(n int) float64) float64 {
	n := 1000
	took := seconds(n)
	for took < longEnough {
		if took < longEnough/20 {
			n *= 4
		} else {
			n = int(float64(n) * 1.2 * longEnough / took)
		}
		took = seconds(n)
	}
	return took / float64(n) * 1e9
}

// Prints what the driver reads: numbers on one line.
func report(values ...float64) {
	for i, value := range values {
		if i > 0 {
			fmt.Print(" ")
		}
		fmt.Printf("%.3f", value)
	}
	fmt.Println()
}

// Number i of the command line.
func argument(i int) int {
	value, err := strconv.Atoi(os.Args[i])
	if err != nil {
		panic(err)
	}
	return value
}

// Bytes of this process in memory; -1 where the system does not tell.
func residentBytes() int {
	var total, resident int
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return -1
	}
	if _, err := fmt.Sscan(string(text), &total, &resident); err != nil {
		return -1
	}
	return resident * os.Getpagesize()
}
