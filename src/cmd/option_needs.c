/* option_needs: a table, for what is the same in every command that has both. What a command alone knows it says
 * itself, and a recipe, whose options may come from a file, by recipe_unused. */
#include "cmd/option_needs.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const struct needs {
	const char *option, *of[4];    /* one of these is enough */
} table[] = {
	{ "trace", { "profile" } },
	{ "watermark-bias", { "watermark-hashing-key" } },
	{ "watermark-greenlist-ratio", { "watermark-hashing-key" } },
	{ "fewshot-select", { "examples" } },
	{ "fewshot-order", { "examples" } },
	{ "fewshot-embedder", { "examples" } },
	{ "fewshot-seed", { "examples", "tasks", "suite" } },
	{ "fewshot-out", { "examples", "instruction" } },
	{ "fewshot-delimiter", { "examples", "instruction", "tasks" } },
	{ "target-delimiter", { "examples", "instruction", "tasks" } },
	{ "task-data", { "tasks" } },
	{ "gen-kwargs", { "tasks" } },
	{ "system-instruction", { "tasks" } },
	{ "fewshot-as-multiturn", { "tasks" } },
	{ "log-samples", { "tasks", "suite" } },
	{ "output-path", { "tasks", "suite" } },
	{ "tune-threads", { "files-dir" } },
};

static bool given(const struct opt_parse *p, const char *name)
{
	return opt_find(p->table, name) && opt_given(p, name);
}

int option_needs(const struct opt_parse *p, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct needs *x = &table[i];
		char more[80] = "";
		bool met = false;
		if (!given(p, x->option))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(x->of) && x->of[k]; k++) {
			size_t n = strlen(more);
			met |= given(p, x->of[k]);
			if (k && opt_find(p->table, x->of[k]))
				snprintf(more + n, sizeof(more) - n, " or --%s", x->of[k]);
		}
		if (!met)
			return err_set(e, "--%s is of --%s%s, which is not there", x->option, x->of[0], more);
	}
	return 0;
}
