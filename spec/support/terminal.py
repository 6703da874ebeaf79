# SPDX-License-Identifier: MIT
# Run a program on a terminal of its own and talk to it.   python3 terminal.py STEPS PROGRAM ARGUMENT...
# STEPS is a file of lines: `wait TEXT` (until it was printed, behind what was waited for before), `send TEXT`,
# `key C` (a control key), `signal NAME`. Prints what the program printed, and last its exit code (128 + n).
import os, pty, select, signal, sys, time

LIMIT = 20

def main():
    with open(sys.argv[1]) as file:
        steps = [line.rstrip("\n").split(" ", 1) for line in file if line.strip()]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[2], sys.argv[2:])
    printed, seen, deadline = b"", 0, time.monotonic() + LIMIT

    def read():
        nonlocal printed
        ready = select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]
        try:
            more = os.read(terminal, 65536) if ready else b""
        except OSError:      # the other side has closed it
            more = b""
        printed += more
        return more

    for word, text in steps:
        if word == "wait":
            while printed.find(text.encode(), seen) < 0 and read():
                pass
            at = printed.find(text.encode(), seen)
            if at < 0:
                print("never came: " + text)
                break
            seen = at + len(text.encode())
        elif word == "send":
            os.write(terminal, text.encode() + b"\n")
        elif word == "key":
            os.write(terminal, bytes([ord(text) - 64]))
        elif word == "signal":
            os.kill(child, getattr(signal, "SIG" + text))
    while read():
        pass
    if time.monotonic() >= deadline:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.write(printed.decode(errors="replace").replace("\r\n", "\n"))
    print("\nexit code %d" % (code if code >= 0 else 128 - code))

main()
