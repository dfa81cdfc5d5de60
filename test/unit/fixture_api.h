/* fixture_api: calls of the library in tests: what is good, and an error that was wanted. */
#ifndef FIXTURE_API_H
#define FIXTURE_API_H

#include "../test.h"

#include <kungfu.h>

#include "base/io.h"

static struct kf_error error;
static const struct kf_settings one_thread = { .threads = 1 };

#define GOOD(call) CHECK_MSG(t, (call) == KF_OK, #call ": %s", error.message)
#define BAD(wanted, call) bad(t, wanted, #call, (call))

static char *golden(const char *name) { return io_join(test_golden(), name); }

/* An error is the status that was wanted and a sentence. */
static void bad(struct test *t, int wanted, const char *call, int status)
{
	CHECK_MSG(t, status == wanted && error.status == wanted && error.message[0], "%s: %d, %d was wanted: %s", call,
	          status, wanted, error.message);
	error = (struct kf_error){ 0 };
}

#endif
