/* gas import: runs of another ledger, of an export, or of a run's own gas.json; what is known is not counted twice. */
#include "cmd/metering.h"

#include "base/log.h"
#include "base/mem.h"

extern const struct command cmd_gas_import;

struct import { struct common common; };

static const struct opt import_opts[] = {
	COMMON_OPTS(struct import, common),
	OPT_END
};

static int import(const struct app *app, const struct import *o, const struct opt_parse *p, struct err *e)
{
	struct ledger *l = NULL;
	size_t added = 0, known = 0;
	char *path = metering_ledger_path(&o->common);
	int status = path ? ledger_open(&l, path, LEDGER_WRITE, e) :
	                    err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");

	for (size_t i = 0; i < p->n_positional && !status; i++) {
		size_t more, same;
		status = ledger_import(l, p->positional[i], &more, &same, e);
		added += more;
		known += same;
	}
	if (!status && app->json) {
		json_t *j = json_pack("{s:I, s:I}", "added", (json_int_t)added, "known", (json_int_t)known);
		app_json(j);
		json_decref(j);
	} else if (!status) {
		log_say("%zu runs added, %zu were known", added, known);
	}
	ledger_close(l);
	mem_free(path);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	return import(app, options, p, e);
}

const struct command cmd_gas_import = {
	.name = "gas import",
	.summary = "add the runs of another ledger, an export or a run's gas.json",
	.usage = "FILE… [options]",
	.example = "kungfu gas import other.db",
	.order = 73,
	.looks = true,
	.opts = import_opts,
	.options_size = sizeof(struct import),
	.least = 1, .most = SIZE_MAX, .wanted = "a ledger, its export or a run's gas.json was wanted",
	.run = run,
};
