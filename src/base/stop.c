/* stop: one flag, and who answers in its place while a test holds it. */
#include "base/stop.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static atomic_bool asked;
static bool (*_Atomic held)(void);

void stop_ask(void) { atomic_store_explicit(&asked, true, memory_order_relaxed); }
void stop_heard(void) { atomic_store(&asked, false); }
void stop_hold(bool (*look)(void)) { atomic_store(&held, look); }

bool stop_asked(void)
{
	bool (*look)(void) = atomic_load_explicit(&held, memory_order_relaxed);

	return look ? look() : atomic_load_explicit(&asked, memory_order_relaxed);
}

int stop_look(struct err *e, const char *doing)
{
	return stop_asked() ? err_set(e, "interrupted while %s", doing) : 0;
}

bool stop_ended(const struct err *e) { return strstr(e->msg, "interrupted while ") != NULL; }
