/* objective: finds a row of the generated table by name. See objective.h. */
#include "train/objective.h"

#include <string.h>

const struct objective *objective_find(const char *name)
{
	for (size_t i = 0; objective_table[i]; i++)
		if (!strcmp(objective_table[i]->name, name))
			return objective_table[i];
	return NULL;
}
