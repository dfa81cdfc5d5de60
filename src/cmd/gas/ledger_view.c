/* gas_books: see gas_books.h. */
#include "cmd/gas/ledger_view.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

int gas_books_open(struct gas_books *b, const struct common *o, struct err *e)
{
	char *path = metering_ledger_path(o);
	int status = path ? ledger_open(&b->ledger, path, LEDGER_READ, e) :
	                    err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");

	mem_free(path);
	if (status == 0)
		status = ledger_runs(b->ledger, NULL, &b->all, e);
	if (status == 0)
		family_build(&b->family, &b->all);
	return status;
}

void gas_books_close(struct gas_books *b)
{
	family_release(&b->family);
	entries_release(&b->all);
	ledger_close(b->ledger);
	*b = (struct gas_books){ 0 };
}

json_t *gas_metrics(const struct entry *x)
{
	struct err ignored = ERR_INIT;
	json_t *j = x->metrics ? jsonx_load(x->metrics, strlen(x->metrics), "metrics", &ignored) : NULL;
	return j ? j : json_object();
}
