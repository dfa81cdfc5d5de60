/* rung_cascade: the cheap way answers where it is sure, the dear one the rest (ladder/cascade.h). It is put together of
 * ways that were measured, by whoever climbs; its folder holds cascade.json: {first, second, threshold}, whose own
 * folders lie beside it. */
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "ladder/ladder.h"

struct parts {
	json_t *json;
	const struct rung *first, *second;
	char *first_dir, *second_dir;
	double threshold;
};

static int read_parts(struct parts *p, const char *dir, struct err *e)
{
	char *path = io_join(dir, CASCADE_FILE), *above = io_parent(dir);
	const char *names[2];

	*p = (struct parts){ .json = jsonx_load_file(path, e) };
	int status = p->json ? 0 : -1;
	names[0] = json_string_value(json_object_get(p->json, "first"));
	names[1] = json_string_value(json_object_get(p->json, "second"));
	p->first = names[0] ? rung_find(names[0]) : NULL;
	p->second = names[1] ? rung_find(names[1]) : NULL;
	p->threshold = json_number_value(json_object_get(p->json, "threshold"));
	if (status == 0 && (!p->first || !p->second))
		status = err_set(e, "%s: it names no two ways", path);
	if (status == 0) {
		p->first_dir = io_join(above, names[0]);
		p->second_dir = io_join(above, names[1]);
	}
	mem_free(above);
	mem_free(path);
	return status;
}

static void parts_release(struct parts *p)
{
	json_decref(p->json);
	mem_free(p->first_dir);
	mem_free(p->second_dir);
}

static int fits(struct ladder *l, struct err *e)
{
	return l->task->n_classes ? 0 : err_set(e, "it wants classes, of which a cheap way can be sure");
}

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	(void)l, (void)e;
	*p = (struct rung_price){ .make = { 0, 0, 0 } };
	return 0;
}

/* Those of which the first one is not sure, by the second. */
static int answer_rest(struct ladder *l, const struct parts *p, const size_t *at, size_t n, struct outcome *out,
                       struct err *e)
{
	size_t *rest = mem_array(n + 1, sizeof(*rest)), *place = mem_array(n + 1, sizeof(*place)), m = 0;
	struct outcome *more = mem_array(n + 1, sizeof(*more));
	int status = 0;

	for (size_t i = 0; i < n; i++)
		if (!(out[i].confidence >= p->threshold)) {
			place[m] = i;
			rest[m++] = at[i];
		}
	if (m)
		status = p->second->answer(l, p->second_dir, rest, m, more, e);
	for (size_t i = 0; i < m && status == 0; i++)
		out[place[i]] = more[i];
	mem_free(rest);
	mem_free(place);
	mem_free(more);
	return status;
}

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	struct parts p;
	int status = read_parts(&p, dir, e);

	if (status == 0)
		status = p.first->answer(l, p.first_dir, at, n, out, e);
	if (status == 0)
		status = answer_rest(l, &p, at, n, out, e);
	parts_release(&p);
	return status;
}

/* What a part leaves, with where its files lie beside this rung's. */
static json_t *part_leaves(struct ladder *l, const struct rung *r, const char *dir, struct err *e)
{
	json_t *j = r->leaves(l, dir, e);
	char *files = mem_printf("../%s", r->name);

	if (j) {
		json_object_set_new(j, "rung", json_string(r->name));
		json_object_set_new(j, "files", json_string(files));
	}
	mem_free(files);
	return j;
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	struct parts p;
	json_t *first = NULL, *second = NULL, *all = NULL;

	if (read_parts(&p, dir, e) == 0 && (first = part_leaves(l, p.first, p.first_dir, e)) &&
	    (second = part_leaves(l, p.second, p.second_dir, e)))
		all = json_pack("{s:s, s:f, s:O, s:O}", "kind", "cascade", "threshold", p.threshold, "first", first,
		                "second", second);
	json_decref(first);
	json_decref(second);
	parts_release(&p);
	return all;
}

const struct rung rung_cascade = {
	.name = "cascade",
	.summary = "the cheap way answers where it is sure, the dear one the rest",
	.order = 90,
	.fits = fits,
	.price = price,
	.answer = answer,
	.leaves = leaves,
	.combines = true,
};
