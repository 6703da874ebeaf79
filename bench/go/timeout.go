// SPDX-License-Identifier: MIT

// A context with a deadline for a function that ends at once, while an outer one is pending.

//go:build ignore

package main

import (
	"context"
	"time"
)

func work(ctx context.Context) error { return ctx.Err() }

func timeout(ctx context.Context, limit time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return fn(ctx)
}

func main() {
	timeout(context.Background(), time.Minute, func(ctx context.Context) error {
		report(nsPerUnit(cpuOf(func(n int) {
			for i := 0; i < n; i++ {
				timeout(ctx, 5*time.Second, work)
			}
		})))
		return nil
	})
}
