/* said: see said.h. */
#include "feedback/said.h"

#include <math.h>

#include "base/mem.h"
#include "feedback/noise.h"

int said_load(struct said *s, struct feedback *f, struct arena *mem, struct err *e)
{
	struct feedback_item *items = NULL;
	struct feedback_label *labels = NULL;
	size_t n_items = 0, n_labels = 0;

	/* labels first: an item that comes between is one without labels */
	if (feedback_labels(f, mem, &labels, &n_labels, e) < 0 || feedback_items(f, mem, &items, &n_items, e) < 0)
		return -1;
	*s = (struct said){ feedback_study(f), items, n_items, labels, n_labels };
	return 0;
}

int said_names(struct feedback *f, struct arena *mem, const char *const **names, size_t *n, struct err *e)
{
	struct feedback_rater *all;
	size_t count;
	int64_t highest = 0;

	if (feedback_raters(f, mem, &all, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		highest = MAX(highest, all[i].id);
	*n = (size_t)highest + 1;
	const char **list = arena_array(mem, *n, sizeof(*list));
	for (size_t i = 0; i < count; i++)
		list[all[i].id] = all[i].name;
	*names = list;
	return 0;
}

int said_noise(const char *path, double *error, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct feedback *f;
	struct said said;
	struct judgements j;
	struct noise noise;

	*error = NAN;
	if (feedback_open(&f, path, false, e) < 0)
		return -1;
	int status = said_load(&said, f, &mem, e);
	if (status == 0) {
		judgements_of(&j, &said, &mem);
		noise_of(&noise, &said, &j, &(struct resample){ 0 });
		*error = noise.error.value;
	}
	feedback_close(f);
	arena_release(&mem);
	return status;
}
