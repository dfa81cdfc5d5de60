/* env: one door to the environment, so that what the program listens to can be found by looking for env_get. */
#include "base/env.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"

const char *env_get(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

char *env_state_file(const char *name)
{
	const char *state = env_get("XDG_STATE_HOME"), *home = env_get("HOME");

	if (state && state[0] == '/')
		return mem_printf("%s/kungfu/%s", state, name);
	return home ? mem_printf("%s/.local/state/kungfu/%s", home, name) : NULL;
}
