/* held: a clock, and counters of energy, that a test holds instead of the machine. The linker puts these functions in
 * the place of the program's (--wrap, see the Makefile) in two programs that are never installed: kungfu-test, where a
 * test holds the clock when it wants to, and kungfu-held, the whole program with the clock held from its beginning, for
 * command cases ($HELD). The program itself has no such door, so no figure of a user's can come from a held clock.
 *
 * While it is held, time moves by
 *   - the work of nodes: each takes (operations + 5 · bytes) / HELD_RATE seconds, whatever the processor, and keeps
 *     all threads of its pool busy. So a plan and its run agree as far as the planner's arithmetic is right;
 *   - readings by the main thread: 1 µs; at a place of the program where neither a node nor held_pass came since the
 *     last reading there, four times as much as then, at most 50 ms. So loops that wait for a budget to be used up end;
 *   - held_pass.
 * Nothing else: no load, no other process, no slower machine. The wall clock (dates) and the waits of threads for each
 * other are left as they are. */
#ifndef TEST_HELD_H
#define TEST_HELD_H

#include "op/tape.h"

#define HELD_RATE 1e7              /* of nodes' work, a second */

extern size_t held_memory;         /* bytes that mem_available says; 4 GiB at first */

/* From here on time is held, at 0. Devices that are made from now on move it. */
void held_begin(void);
void held_pass(double seconds, double cpu_seconds);
void held_end(void);
/* Called in the main thread when time has passed; NULL: nobody. */
extern void (*held_passed)(double now);
/* What a node takes of it. */
double held_node_seconds(const struct tape *t, const struct node *n, const struct live *live);

#endif
