/* SPDX-License-Identifier: MIT */
/*
** Making another thread call a function, whatever it does: how running Lua is interrupted.
**
** A hook that looks at a flag now and then would slow all Lua down to half, since with a count
** hook every instruction takes the slow way; and lua_sethook must not be called from another
** thread, because it walks the list of calls. So the hook is set by a signal handler on the
** thread that runs the Lua, which is what lua_sethook is made for (lua.c does it).
**
** The signal is SIGURG, which is ignored unless somebody asks for it. Our handler is in place only
** between begin and end, that is, while some Lua is being interrupted; outside of that, and for
** all other threads, the disposition is what it was. This is the one thing of the process that
** the library touches, and as dispositions are the process's, so is the count of who needs it.
*/
#ifndef ED_INTERRUPT_H
#define ED_INTERRUPT_H

#include <stdbool.h>
#include <uv.h>

typedef struct ed_interruptible {
  /* In a signal handler, on its thread: false if it did not expect that. */
  bool (*act)(struct ed_interruptible *who);
  struct ed_interruptible *outer; /* who else the thread is: runtimes nest */
} ed_interruptible;

/* The calling thread is 'who' from now on, too. */
void ed_interrupt_accept (ed_interruptible *who);

/* It is 'who' no more. Harmless if it was not. */
void ed_interrupt_ignore (ed_interruptible *who);

/* Put the handler in place, or take it away; counted. */
void ed_interrupt_begin (void);
void ed_interrupt_end (void);

/* Make a living thread that accepts call its 'act' soon; between begin and end only. */
void ed_interrupt_send (uv_thread_t thread);

#endif
