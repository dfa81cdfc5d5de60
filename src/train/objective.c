/* objective: finds a row of the generated table by name. See objective.h. */
#include "train/objective.h"

#include <string.h>

bool objective_rows(size_t i, struct opt_row *out)
{
	const struct objective *o = objective_table[i];
	if (o)
		*out = (struct opt_row){ .name = o->name,
			                 .summary = o->summary,
			                 .standard = o->standard,
			                 .opts = o->opts,
			                 .options_size = o->options_size };
	return o;
}

const struct objective *objective_find(const char *name)
{
	for (size_t i = 0; objective_table[i]; i++)
		if (!strcmp(objective_table[i]->name, name))
			return objective_table[i];
	return NULL;
}
