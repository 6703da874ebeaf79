// SPDX-License-Identifier: MIT

// gather.go MEMBERS: a list of empty functions, a goroutine each. The unit is one member.

//go:build ignore

package main

import "sync"

// The results of all functions, in their order.
func gather(list []func() any) []any {
	var all sync.WaitGroup
	results := make([]any, len(list))
	all.Add(len(list))
	for i, fn := range list {
		go func(i int, fn func() any) {
			defer all.Done()
			results[i] = fn()
		}(i, fn)
	}
	all.Wait()
	return results
}

func main() {
	list := make([]func() any, argument(1))
	for i := range list {
		list[i] = func() any { return nil }
	}
	report(nsPerUnit(cpuOf(func(n int) {
		for done := 0; done < n; done += len(list) {
			gather(list)
		}
	})))
}
