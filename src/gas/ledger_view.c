/* ledger_view: all runs of a ledger in memory, with the tree built over them. A ledger has a line a run, so even
 * years of them are small; nothing is written, and what comes later is not seen. */
#include "gas/ledger_view.h"

#include <string.h>

#include "base/jsonx.h"

int ledger_view_open(struct ledger_view *v, const char *path, struct err *e)
{
	if (!path)
		return err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");
	if (ledger_open(&v->ledger, path, LEDGER_READ, e) < 0 || ledger_runs(v->ledger, NULL, &v->all, e) < 0)
		return -1;
	family_build(&v->family, &v->all);
	return 0;
}

void ledger_view_close(struct ledger_view *v)
{
	family_release(&v->family);
	entries_release(&v->all);
	ledger_close(v->ledger);
	*v = (struct ledger_view){ 0 };
}

json_t *ledger_view_metrics(const struct entry *x)
{
	struct err ignored = ERR_INIT;
	json_t *j = x->metrics ? jsonx_load(x->metrics, strlen(x->metrics), "metrics", &ignored) : NULL;

	return j ? j : json_object();
}
