/* rung_kept: what was chosen before more rows came, as it is: nothing is learnt anew, and of the rows that were
 * answered before the answers stay. Its folder has the files of that way, and kept.json that says which it was:
 * {rung}. Whoever goes on with a run fills it (cmd/adapt/adapt_more.c). */
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "ladder/ladder.h"

static const struct rung *rung_in(const char *dir, struct err *e)
{
	char *path = io_join(dir, KEPT_FILE);
	json_t *j = jsonx_load_file(path, e);
	const char *name = json_string_value(json_object_get(j, "rung"));
	const struct rung *r = name ? rung_find(name) : NULL;

	if (j && !r)
		err_set(e, "%s: it names no way", path);
	json_decref(j);
	mem_free(path);
	return r;
}

static int fits(struct ladder *l, struct err *e)
{
	return l->kept ? 0 : err_set(e, "nothing was chosen before");
}

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	(void)e;
	*p = *l->kept;
	p->make = (struct span){ 0, 0, 0 };
	p->operations = p->make_bytes = 0;
	return 0;
}

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	const struct rung *r = rung_in(dir, e);

	return r ? r->answer(l, dir, at, n, out, e) : -1;
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	const struct rung *r = rung_in(dir, e);

	return r ? r->leaves(l, dir, e) : NULL;
}

const struct rung rung_kept = {
	.name = "kept",
	.summary = "what was chosen before more rows came, as it is",
	.order = 5,
	.fits = fits,
	.price = price,
	.answer = answer,
	.leaves = leaves,
	.stays = true,
	.earlier = true,
};
