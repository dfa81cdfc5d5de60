/* energy: see energy.h. */
#include "gas/energy.h"

#include "base/err.h"

const char *energy_method_name(enum energy_method m)
{
	static const char *const names[] = { "none", "measured", "mixed", "estimated" };
	if ((int)m < 0 || m > ENERGY_ESTIMATED)
		BUG("energy method %d", (int)m);
	return names[m];
}
