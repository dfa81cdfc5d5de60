/* machine_profile: the profile's file in the user's state folder, one entry for each processor, instruction set and
 * number of threads. */
#include "cmd/machine_profile.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "op/roofline.h"

bool machine_recall(const struct app *app, struct profile *p)
{
	struct err ignored = ERR_INIT;
	char *path = profile_path(), *processor = profile_processor();

	*p = (struct profile){ 0 };
	bool found =
		path && profile_load(p, path, processor, app->kernels->name, pool_threads(app->pool), &ignored) == 0;
	mem_free(path);
	mem_free(processor);
	return found;
}

struct speeds machine_speeds(const struct app *app)
{
	struct profile p;

	machine_recall(app, &p);
	return profile_speeds(&p);
}

static void keep(const struct profile *p)
{
	struct err why = ERR_INIT;
	char *path = profile_path();

	if (!path || profile_store(p, path, &why) < 0)
		log_warn("the machine's profile is not kept: %s",
		         path ? why.msg : "neither XDG_STATE_HOME nor HOME is set");
	mem_free(path);
}

int machine_profile(struct app *app, struct profile *p, struct err *e)
{
	log_live("measuring the machine");
	int status = profile_measure(p, app->kernels, app->pool, e);
	if (status == 0) {
		struct speeds s = profile_speeds(p);
		status = speeds_measure(&s, app->device, e);
		memcpy(p->op, s.op, sizeof(p->op));
		p->n_ops = s.n_ops;
	}
	log_live_end();
	if (status == 0)
		keep(p);
	return status;
}
