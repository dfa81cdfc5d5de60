/* method: the table of what a run may change, made of the adapters' table and full tuning. What full tuning does is
 * the trainer's; here is what the recipe must know of it. */
#include "train/method.h"

#include <stdio.h>
#include <string.h>

const char method_full[] = "full";
static const double full_rate = 2e-5;

static size_t adapter_count(void)
{
	size_t n = 0;
	while (adapter_type_table[n])
		n++;
	return n;
}

bool method_rows(size_t i, struct opt_row *out)
{
	double rate = full_rate;

	if (i > adapter_count())
		return false;
	if (i == adapter_count())
		*out = (struct opt_row){ .name = method_full, .summary = "every weight, or those named",
			                 .opts = method_full_opts, .options_size = sizeof(struct method_full) };
	else if (adapter_rows(i, out))
		rate = adapter_type_table[i]->learning_rate;
	snprintf(out->note, sizeof(out->note), "learning rate %g", rate);
	return true;
}

const struct adapter_type *method_adapter(const char *name)
{
	struct opt_row row;
	size_t i;

	if (!opt_row_find(method_rows, name, &row, &i))
		BUG("no method is called %s", name);
	return adapter_type_table[i]; /* full is where the table ends */
}

double method_learning_rate(const char *name, const void *options)
{
	const struct adapter_type *adapter = method_adapter(name);

	if (adapter && adapter->rate && options)
		return adapter->rate(options);
	return adapter ? adapter->learning_rate : full_rate;
}
