/* clock: time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>

double clock_seconds(void);                    /* monotonic; stands still while the machine sleeps */
/* the same, for waits of microseconds between threads: a test that holds clocks leaves it alone */
double clock_spin_seconds(void);
double clock_suspended_seconds(void);          /* that the machine has slept since it was started */
double clock_wall_seconds(void);               /* since 1970; may be set at any time: for ages of files only */
double clock_cpu_seconds(void);                /* of this process, all threads */
void clock_iso(char out[32]);                  /* now, UTC, 2026-01-31T12:00:00Z */
/* "12 s", "3 min 20 s", "1 h 05 min" */
void clock_human(double seconds, char out[32]);

#endif
