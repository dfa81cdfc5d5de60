/* env: one door to the environment, so that what the program listens to can be found by looking for env_get. */
#include "base/env.h"

#include <stddef.h>
#include <stdlib.h>

const char *env_get(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}
