/* gas_served: what servers answered, as the ledger has it, in a table: by key, model and adapter, or one of them. */
#ifndef CMD_GAS_SERVED_H
#define CMD_GAS_SERVED_H

#include "cmd/command.h"
#include "gas/ledger.h"

#define SERVED_BY "key|model|day"

/* Of one run; nothing where it served nothing. */
void served_of_run(const struct entry *x);
/* Of all runs from a day on (NULL: all), a line for each of what `by` names (SERVED_BY). */
int served_by(const struct app *app, struct ledger *l, const char *by, const char *since, struct err *e);

#endif
