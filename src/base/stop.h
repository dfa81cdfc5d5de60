/* stop: somebody wants long work to end soon: a signal's handler asks, and whatever may take longer than a moment
 * looks, between items, nodes, rows, pieces of a file: it then gives up what it was at, changes nothing that counts,
 * and fails with "interrupted while …". The one who asked ends the process's work from there: when it has heard
 * (stop_heard), looks say no again, so that what is to be saved can be saved. A library's host never asks, so there it
 * never stops. */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

#include "base/err.h"

void stop_ask(void);                                   /* may be called in a signal's handler */
bool stop_asked(void);                                 /* costs as much as reading a number; from any thread */
void stop_heard(void);
int stop_look(struct err *e, const char *doing);       /* −1 and "interrupted while <doing>", or 0 */
bool stop_ended(const struct err *e);                   /* is this such a failure, whatever stands before it? */
/* For tests: this is asked instead, by any thread; NULL: nobody any more. */
void stop_hold(bool (*look)(void));

#endif
