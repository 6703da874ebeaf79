// SPDX-License-Identifier: MIT

// An echo server, one goroutine a connection. Prints its port first.

//go:build ignore

package main

import (
	"fmt"
	"net"
)

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 64*1024)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(server.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := server.Accept()
		if err != nil {
			panic(err)
		}
		go echo(conn)
	}
}
