/* index_embedder: the model is held as other commands hold theirs, so that an alias or what `kungfu adapt` left may be
 * named; while it works, --max-gas is looked at. See index_embedder.h. */
#include "cmd/index/index_embedder.h"

#include "base/mem.h"
#include "cmd/metering.h"
#include "retrieve/index.h"

static void release(void *holder)
{
	loaded_close(holder);
	mem_free(holder);
}

static int look(void *ctx)
{
	(void)ctx;
	return metering_over();
}

int index_embedder_open(struct index_embedder *x, struct app *app, const char *model, const char *compute,
                        int64_t micro_batch_tokens, struct err *e)
{
	struct loaded *l = mem_alloc(sizeof(*l));

	*x = (struct index_embedder){ .release = release, .progress = look };
	if (loaded_open_alone(l, model, e) < 0) {
		mem_free(l);
		return -1;
	}
	x->model = &l->model;
	x->holder = l;
	return model_compute(app, x->model, compute, PREPARE_SCORE, e) < 0 ?
	               -1 :
	               index_embedder_begin(x, app->device, (int32_t)micro_batch_tokens, e);
}

int index_embedder_of(struct index_embedder *x, struct app *app, const struct index *of, const char *path,
                      const char *compute, int64_t micro_batch_tokens, struct err *e)
{
	const struct index_settings *s = index_settings(of);

	*x = (struct index_embedder){ 0 };
	if (!s->embedder)
		return !path ? 0 :
		       err_set(e, "--embedder: the index has no vectors; kungfu index build --embedder makes them");
	if (index_embedder_open(x, app, path ? path : s->embedder, compute, micro_batch_tokens, e) < 0)
		return path ? -1 : err_prefix(e, "the index's embedder (--embedder says where it is now)");
	return index_embedder_is_of(x, of, path ? path : s->embedder, e) < 0 ? -1 : 1;
}
