/* rung_cascade: the cheap way answers where it is sure, the dear one the rest (ladder/cascade.h). It is put together of
 * ways that were measured, by whoever climbs; its folder holds cascade.json: {first, second, threshold}, whose own
 * folders lie beside it, and the models that they stand on where there are several. */
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "ladder/ladder.h"

enum { FIRST, SECOND, PARTS };

struct part {
	const char *name; /* of the way, and of its folder */
	const struct rung *rung;
	char *dir;
	struct base_model base; /* of path NULL: the one that the cascade stands on */
};

struct parts {
	json_t *json;
	struct part part[PARTS];
	double threshold;
};

static int read_parts(struct parts *p, const char *dir, struct err *e)
{
	static const char *const keys[] = { "first", "second" }, *const models[] = { "first_model", "second_model" };
	char *path = io_join(dir, CASCADE_FILE), *above = io_parent(dir);

	*p = (struct parts){ .json = jsonx_load_file(path, e) };
	int status = p->json ? 0 : -1;
	p->threshold = json_number_value(json_object_get(p->json, "threshold"));
	for (int i = 0; i < PARTS && status == 0; i++) {
		struct part *x = &p->part[i];
		x->name = json_string_value(json_object_get(p->json, keys[i]));
		x->rung = x->name ? rung_of_way(x->name) : NULL;
		x->base.path = json_string_value(json_object_get(p->json, models[i]));
		if (!x->rung)
			status = err_set(e, "%s: it names no two ways", path);
		else
			x->dir = io_join(above, x->name);
	}
	mem_free(above);
	mem_free(path);
	return status;
}

static void parts_release(struct parts *p)
{
	json_decref(p->json);
	for (int i = 0; i < PARTS; i++)
		mem_free(p->part[i].dir);
}

static int answer_part(struct ladder *l, struct part *p, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	struct base_model *was = l->on;

	if (p->base.path)
		l->on = &p->base;
	int status = p->rung->answer(l, p->dir, at, n, out, e);
	l->on = was;
	return status;
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
static int answer_rest(struct ladder *l, struct parts *p, const size_t *at, size_t n, struct outcome *out,
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
		status = answer_part(l, &p->part[SECOND], rest, m, more, e);
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
		status = answer_part(l, &p.part[FIRST], at, n, out, e);
	if (status == 0)
		status = answer_rest(l, &p, at, n, out, e);
	parts_release(&p);
	return status;
}

/* What a part leaves, with where its files lie beside this rung's, and its base where it is another one. */
static json_t *part_leaves(struct ladder *l, const struct part *p, struct err *e)
{
	json_t *j = p->rung->leaves(l, p->dir, e);
	char *files = mem_printf("../%s", p->name);

	if (j) {
		json_object_set_new(j, "rung", json_string(p->rung->name));
		json_object_set_new(j, "files", json_string(files));
	}
	if (j && p->base.path)
		json_object_set_new(j, "base", json_string(p->base.path));
	mem_free(files);
	return j;
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	struct parts p;
	json_t *first = NULL, *second = NULL, *all = NULL;

	if (read_parts(&p, dir, e) == 0 && (first = part_leaves(l, &p.part[FIRST], e)) &&
	    (second = part_leaves(l, &p.part[SECOND], e)))
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
