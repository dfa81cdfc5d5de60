/* guard_models: a text is cut into pieces that the classifier reads whole, each a quarter into the one before, so
 * nothing is hidden behind a length; the perplexity is of one pass over the text's tokens, as many at once as there are
 * positions. Texts that are not UTF-8 are repaired first, and their findings are of the whole. */
#include "cmd/guard_models.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/text_classifier.h"
#include "infer/scorer.h"

enum { PIECE_MOST = 4096, AT_ONCE = 1024 };

struct guard_models {
	const struct guard_models_options *o;
	struct app *app;
	struct device *device;
	struct text_judge *judge;
	char *label_rule;
	struct loaded *l;              /* whose perplexity, or NULL */
	struct scorer *scorer;         /* of it, once it was wanted */
};

static enum guard_verdict verdict_of(const char *name)
{
	enum guard_verdict v = GUARD_FLAG;

	while (v < GUARD_REFUSE && strcmp(guard_verdict_names[v], name) != 0)
		v++;
	return v;
}

struct guard_perplexity guard_models_perplexity(const struct guard_models_options *o)
{
	return (struct guard_perplexity){ o->perplexity, o->window, verdict_of(o->odd_verdict) };
}

int guard_models_open(struct guard_models **out, struct app *app, const struct guard_models_options *o,
                      struct device *device, struct err *e)
{
	struct guard_models *x;

	*out = NULL;
	if (!o->classifier && !(o->perplexity > 0))
		return 0;
	x = mem_alloc(sizeof(*x));
	*x = (struct guard_models){ .o = o, .app = app, .device = device ? device : app->device };
	const struct text_classifier c = { o->classifier, o->label, "f32" };
	if (o->classifier && text_judge_open(&x->judge, app, &c, device, e) < 0) {
		mem_free(x);
		return -1;
	}
	x->label_rule = mem_printf("classifier.%s", o->label ? o->label : "");
	*out = x;
	return 0;
}

void guard_models_causal(struct guard_models *x, struct loaded *l)
{
	if (x)
		x->l = l;
}

void guard_models_close(struct guard_models *x)
{
	if (!x)
		return;
	text_judge_close(x->judge);
	scorer_free(x->scorer);
	mem_free(x->label_rule);
	mem_free(x);
}

/* --- a classifier --- */

struct pieces { char **text; size_t *begin, *end, n; };

static void add_piece(struct pieces *p, const char *text, size_t begin, size_t end)
{
	p->text = mem_grow(p->text, p->n + 1, sizeof(*p->text));
	p->begin = mem_grow(p->begin, p->n + 1, sizeof(*p->begin));
	p->end = mem_grow(p->end, p->n + 1, sizeof(*p->end));
	p->text[p->n] = mem_strndup(text + begin, end - begin);
	p->begin[p->n] = begin;
	p->end[p->n++] = end;
}

/* Cut between characters; the text is UTF-8. */
static void cut(struct pieces *p, const char *text, size_t n, size_t most)
{
	for (size_t at = 0; at < n;) {
		size_t some = n - at > most ? utf8_complete(text + at, most) : n - at;
		some = some ? some : n - at;
		add_piece(p, text, at, at + some);
		if (at + some == n)
			break;
		size_t step = utf8_complete(text + at, MAX(some - some / 4, (size_t)1));
		at += step ? step : some;
	}
}

static int classify(struct guard_models *x, const char *text, size_t n, size_t whole, struct guard_result *r,
                    struct err *e)
{
	size_t room = text_judge_bytes(x->judge), most = room ? MIN(room, (size_t)PIECE_MOST) : n;
	struct pieces p = { 0 };

	cut(&p, text, n, most);
	double *chance = mem_array(p.n + 1, sizeof(*chance));
	int status = text_judge_run(x->judge, (const char *const *)p.text, p.n, chance, e);
	for (size_t i = 0; i < p.n; i++) {
		if (status == 0 && chance[i] >= x->o->threshold)
			guard_add(r, x->label_rule, verdict_of(x->o->verdict), whole ? 0 : p.begin[i],
			          whole ? whole : p.end[i], chance[i]);
		mem_free(p.text[i]);
	}
	mem_free(p.text);
	mem_free(p.begin);
	mem_free(p.end);
	mem_free(chance);
	return status < 0 ? err_prefix(e, "the guard's classifier") : 0;
}

/* --- perplexity --- */

/* −log p of each token, given those before it and a beginning; [ids->n]. */
static int costs(struct guard_models *x, const struct tokens *ids, float *cost, struct err *e)
{
	struct model *m = &x->l->model;
	int32_t bos = tokenizer_bos(m->tokenizer), first = bos >= 0 ? bos : MAX(tokenizer_eos(m->tokenizer), 0);
	size_t most = (size_t)MIN(m->config.n_ctx, AT_ONCE) - 1, n = (ids->n + most - 1) / most;
	struct scorer_options o = { .max_tokens = (int32_t)most + 1, .max_length = (int32_t)most + 1 };
	struct document *docs = mem_array(n, sizeof(*docs));
	const struct document **list = mem_array(n, sizeof(*list));
	float **each = mem_array(n, sizeof(*each));
	double *sum = mem_array(n, sizeof(*sum));
	struct arena mem = ARENA_INIT;

	for (size_t i = 0; i < n; i++) {
		size_t some = MIN(most, ids->n - i * most);
		docs[i] = (struct document){ .ids = arena_array(&mem, some + 1, sizeof(int32_t)),
			                     .learn = arena_array(&mem, some + 1, 1), .n = (int32_t)some + 1,
			                     .n_learn = (int32_t)some, .file = "text", .line = i + 1, .choice = -1 };
		docs[i].ids[0] = first;
		memcpy(docs[i].ids + 1, ids->id + i * most, some * sizeof(int32_t));
		memset(docs[i].learn + 1, 1, some);
		each[i] = arena_array(&mem, some + 1, sizeof(float));
		list[i] = &docs[i];
	}
	int status = x->scorer ? 0 : scorer_new(&x->scorer, m, loaded_overlay(x->l), x->device, &o, e);
	if (status == 0)
		status = scorer_run(x->scorer, list, n, false, sum, each, NULL, NULL, e);
	for (size_t i = 0; i < n && status == 0; i++)
		for (int32_t k = 1; k < docs[i].n; k++)
			cost[i * most + (size_t)k - 1] = -each[i][k];
	arena_release(&mem);
	mem_free(docs);
	mem_free(list);
	mem_free(each);
	mem_free(sum);
	return status;
}

static int look_odd(struct guard_models *x, const char *text, size_t n, size_t whole, struct guard_result *r,
                    struct err *e)
{
	struct guard_perplexity how = guard_models_perplexity(x->o);
	struct tokens ids = { 0 }, at = { 0 };

	int status = model_tokenizer(&x->l->model, e);
	if (status == 0)
		status = tokenizer_encode_offsets(x->l->model.tokenizer, text, n, 0, &ids, &at, e);
	if (status == 0 && ids.n >= GUARD_PERPLEXITY_LEAST) {
		float *cost = mem_array(ids.n, sizeof(*cost));
		status = costs(x, &ids, cost, e);
		if (status == 0)
			guard_perplexity_look(&how, at.id, cost, ids.n, n, whole, r);
		mem_free(cost);
	}
	tokens_release(&ids);
	tokens_release(&at);
	return status;
}

/* --- both --- */

int guard_models_look(struct guard_models *x, const char *text, size_t n, struct guard_result *r, struct err *e)
{
	struct buf repaired = BUF_INIT;
	size_t whole = 0;
	int status = 0;

	if (!x || !n)
		return 0;
	if (!utf8_valid(text, n, NULL)) {
		utf8_repair(&repaired, text, n);
		whole = n;
		text = buf_str(&repaired);
		n = repaired.len;
	}
	if (x->judge)
		status = classify(x, text, n, whole, r, e);
	if (status == 0 && x->l && x->o->perplexity > 0)
		status = look_odd(x, text, n, whole, r, e);
	buf_release(&repaired);
	return status;
}
