/* eval_live_rows: rows of a file in an order of the seed, some at a time to both models, each judged as `eval --data`
 * judges it (eval/evaluate.h), until the first of the measures that its shape has is decided: acc, exact_match, or the
 * log-probability of a text. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cmd/eval_compare.h"
#include "cmd/eval_live.h"
#include "cmd/metering.h"

enum { BLOCK = 32, SEED = 1234 };

static const char *const measures[] = { "acc", "acc_norm", "exact_match", "logprob" };

struct comparing {
	struct app *app;
	const struct eval_live_rows *o;
	size_t *order;                 /* [rows] */
	const json_t **line[2];        /* [rows] owned, of the rows in that order */
	size_t n_lines[2], n;          /* of each side; of both */
	int side;                      /* that answers now */
	struct eval_live_work work;
};

static void keep_line(void *ctx, json_t *line)
{
	struct comparing *c = ctx;

	if (c->n_lines[c->side] < c->o->rows->n)
		c->line[c->side][c->n_lines[c->side]++] = json_deep_copy(line);
}

static int tell(void *ctx, const struct evaluate_progress *p)
{
	struct comparing *c = ctx;

	(void)p;
	metering_tick();
	if (clock_seconds() - c->work.began >= 2 && !app_interrupted())
		log_live("%zu of %zu rows at most  %s", c->n, c->o->rows->n, metering_live());
	return app_interrupted();
}

static void add_up(struct eval_live_work *sum, const struct evaluation *v)
{
	sum->tokens += v->tokens;
	sum->new_tokens += v->new_tokens;
	sum->scored_tokens += v->scored_tokens;
	sum->flops += v->flops;
	sum->int_ops += v->int_ops;
}

/* Both answer the next rows. */
static int answer_block(struct comparing *c, size_t n, struct err *e)
{
	struct rows some = *c->o->rows;
	int status = 0;

	some.items = mem_array(n, sizeof(*some.items));
	some.n = n;
	for (size_t i = 0; i < n; i++)
		some.items[i] = c->o->rows->items[c->order[c->n + i]];
	for (c->side = 0; c->side < 2 && status == 0; c->side++) {
		const struct eval_live_side *s = &c->o->side[c->side];
		const struct subject subject = { &s->l->model, loaded_overlay(s->l), s->l->chat, c->app->device };
		struct evaluate_options how = c->o->how[c->side];
		struct evaluation v = { 0 };
		how.detail = keep_line;
		how.progress = tell;
		how.ctx = c;
		status = evaluate(&v, &subject, &some, &how, e);
		add_up(&c->work, &v);
		evaluation_release(&v);
		if (status == 0 && c->n_lines[c->side] != c->n + n)
			status = err_set(e, "%s: these rows are not judged one by one", c->o->data);
	}
	mem_free(some.items);
	c->n += n;
	return status;
}

static int clusters(const struct comparing *c, size_t **out, struct err *e)
{
	json_t *seen = json_object();
	int status = 0;

	*out = mem_array(c->n + 1, sizeof(**out));
	for (size_t i = 0; i < c->n && status == 0; i++)
		status = eval_cluster(seen, c->o->rows->items[c->order[i]].json, c->o->cluster_by, &(*out)[i], e);
	json_decref(seen);
	return status;
}

static int report(struct comparing *c, bool decided, struct err *e)
{
	struct eval_pairs p = { c->line[0], c->line[1], NULL, c->n, c->o->rows->n };
	json_t *metrics = json_object();

	if (c->o->cluster_by && clusters(c, &p.cluster, e) < 0) {
		mem_free(p.cluster);
		json_decref(metrics);
		return -1;
	}
	if (!c->app->json)
		app_print(decided ? "%s: %zu of %zu rows, then it was decided\n" : "%s: %zu rows\n", c->o->data, c->n,
		          c->o->rows->n);
	for (size_t i = 0; i < ARRAY_LEN(measures); i++)
		if (json_object_get(c->line[0][0], measures[i]))
			eval_contest(c->app, &p, measures[i], "none", metrics);
	eval_live_end(c->app, c->o->side, &c->work,
	              json_pack("{s:I, s:I, s:b, s:o}", "rows", (json_int_t)c->o->rows->n, "answered",
	                        (json_int_t)c->n, "stopped", (int)decided, "metrics", metrics));
	mem_free(p.cluster);
	return 0;
}

static bool is_decided(const struct comparing *c)
{
	const struct eval_pairs p = { c->line[0], c->line[1], NULL, c->n, c->o->rows->n };

	for (size_t i = 0; i < ARRAY_LEN(measures); i++)
		if (json_object_get(c->line[0][0], measures[i]))
			return eval_decided(&p, measures[i]);
	return false;
}

int eval_live_rows(struct app *app, const struct eval_live_rows *o, struct err *e)
{
	const struct rng_key key = { .seed = SEED, .purpose = RNG_SHUFFLE };
	struct comparing c = { .app = app, .o = o, .work.began = clock_seconds() };
	size_t all = o->rows->n;
	bool decided = false;
	int status = 0;

	c.order = mem_array(all, sizeof(*c.order));
	for (size_t i = 0; i < all; i++)
		c.order[i] = (size_t)rng_permute(key, 0, all, i);
	for (int s = 0; s < 2; s++)
		c.line[s] = mem_array(all, sizeof(json_t *));
	metering_phase("evaluate");
	while (c.n < all && status == 0 && !decided) {
		status = answer_block(&c, MIN(all - c.n, (size_t)BLOCK), e);
		decided = status == 0 && !o->cluster_by && is_decided(&c);
	}
	log_live_end();
	if (status == 0)
		status = report(&c, decided && c.n < all, e);
	for (int s = 0; s < 2; s++) {
		for (size_t i = 0; i < c.n_lines[s]; i++)
			json_decref((json_t *)(uintptr_t)c.line[s][i]);
		mem_free(c.line[s]);
	}
	mem_free(c.order);
	return status;
}
