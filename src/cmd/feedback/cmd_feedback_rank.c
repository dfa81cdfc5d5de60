/* feedback rank: a frozen model is run once over the answers of a file of feedback, and their states are kept in it
 * (store.h). From then on the file tells which item is worth most to a reward model per second of a rater (heads.h,
 * next.h) and what more labels are worth (worth.h), without a model. Items that have states of this model are left out,
 * so the same command goes on where it was stopped. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/scoring.h"
#include "cmd/text_rows.h"
#include "feedback/heads.h"
#include "feedback/said.h"
#include "format/source.h"
#include "infer/embed.h"

extern const struct command cmd_feedback_rank;

struct rank {
	struct common common;
	const char *model, *adapter, *pooling, *compute;
	int64_t max_length, micro_batch_tokens;
};

static const struct opt rank_opts[] = {
	OPT_STRING("model", struct rank, model, NULL, "MODEL",
	           "whose states of the answers are kept (default: the file's own are looked at again)"),
	ADAPTER_OPT(struct rank, adapter),
	OPT_CHOICE("pooling", struct rank, pooling, "mean", "mean|cls|last|max",
	           "how the tokens' states of prompt and answer become one vector"),
	OPT_INT("max-length", struct rank, max_length, NULL, 1, 1 << 20,
	        "most tokens of prompt and answer (default: 512, or the model's positions)"),
	OPT_INT("micro-batch-tokens", struct rank, micro_batch_tokens, "2048", 2, 1 << 22, "tokens computed at once"),
	COMPUTE_OPT(struct rank, compute, "f32"),
	COMMON_OPTS(struct rank, common),
	OPT_END
};

enum { BATCH = 64, MAX_LENGTH = 512 };  /* items whose states are saved at once; tokens */

struct job {
	struct app *app;
	const struct rank *o;
	struct feedback *f;
	struct arena mem;
	struct said said;
	const char *model;              /* hash of the one whose states are there, or NULL */
	/* of the model that is run */
	struct loaded l;
	char hash[33];
	size_t *todo, n_todo;           /* items without its states */
	struct document *docs;          /* one an answer, by items */
	const struct document **pointers;
	size_t n_docs, n_cut;
	int32_t max_length, longest;
	struct scoring scoring;
	struct embedder *embedder;
	float *states;
};

static int load(struct job *j, struct err *e)
{
	struct said *s = &j->said;

	if (said_load(s, j->f, &j->mem, e) < 0)
		return -1;
	return feedback_states(j->f, &j->mem, s->items, s->n_items, &s->states, &j->model, e);
}

/* --- the model's part --- */

/* A prompt's words: itself, or those of its messages. */
static void add_prompt(struct buf *text, const char *prompt)
{
	json_t *p = json_loads(prompt, JSON_DECODE_ANY, NULL), *message;
	size_t i;

	if (json_is_string(p))
		buf_adds(text, json_string_value(p));
	json_array_foreach(p, i, message) {
		const char *words = json_string_value(json_object_get(message, "content"));
		buf_adds(text, i && words ? "\n\n" : "");
		buf_adds(text, words ? words : "");
	}
	json_decref(p);
}

static int add_document(struct job *j, const struct feedback_item *it, int answer, struct buf *text, struct err *e)
{
	struct document *d = &j->docs[j->n_docs];
	size_t cut = 0;

	buf_clear(text);
	add_prompt(text, it->prompt);
	buf_adds(text, "\n\n");
	buf_adds(text, it->answers[answer]);
	*d = (struct document){ .choice = -1, .adapter = -1 };
	if (embed_document(d, &j->mem, j->l.model.tokenizer, buf_str(text), text->len, j->max_length, &cut, e) < 0)
		return err_prefix(e, "item %lld", (long long)it->id);
	j->longest = MAX(j->longest, d->n);
	j->n_cut += cut > 0;
	j->pointers[j->n_docs++] = d;
	return 0;
}

static int make_documents(struct job *j, struct err *e)
{
	struct buf text = BUF_INIT;
	size_t answers = 0;
	int status = 0;
	bool same = j->model && !strcmp(j->model, j->hash);

	j->todo = arena_array(&j->mem, j->said.n_items, sizeof(*j->todo));
	for (size_t i = 0; i < j->said.n_items; i++)
		if (!same || !j->said.states.of[i]) {
			j->todo[j->n_todo++] = i;
			answers += (size_t)j->said.items[i].n;
		}
	j->docs = arena_array(&j->mem, answers, sizeof(*j->docs));
	j->pointers = arena_array(&j->mem, answers, sizeof(*j->pointers));
	for (size_t k = 0; k < j->n_todo && status == 0; k++)
		for (int a = 0; a < j->said.items[j->todo[k]].n && status == 0; a++)
			status = add_document(j, &j->said.items[j->todo[k]], a, &text, e);
	buf_release(&text);
	return status;
}

/* A batch of items from todo[at] on; their documents begin at doc. Returns how many documents it took, or −1. */
static int run_batch(struct job *j, size_t at, size_t doc, struct err *e)
{
	size_t width = embedder_width(j->embedder), end = MIN(at + BATCH, j->n_todo), n = 0, k = 0;

	for (size_t i = at; i < end; i++)
		n += (size_t)j->said.items[j->todo[i]].n;
	int status = embedder_run(j->embedder, j->pointers + doc, n, j->states, scoring_progress, &j->scoring, e);
	if (status || feedback_begin(j->f, e) < 0)
		return -1;
	for (size_t i = at; i < end && status == 0; i++) {
		const struct feedback_item *it = &j->said.items[j->todo[i]];
		status = feedback_set_states(j->f, it, j->hash, j->states + k * width, width, e);
		k += (size_t)it->n;
	}
	return feedback_end(j->f, status, e) < 0 ? -1 : (int)n;
}

static int run_model(struct job *j, struct err *e)
{
	const struct embed_options eo = { .max_tokens = (int32_t)j->o->micro_batch_tokens, .max_length = j->longest,
		                          .pooling = (enum pooling)pooling_find(j->o->pooling) };

	if (embedder_new(&j->embedder, &j->l.model, loaded_overlay(&j->l), j->app->device, &eo, e) < 0)
		return -1;
	size_t room = (size_t)BATCH * FEEDBACK_ANSWERS * embedder_width(j->embedder);
	const struct scoring_plan plan = { .command = "feedback rank", .phase = "embedding", .no_head = true,
		                           .what = "activations, states", .bytes = room * sizeof(float) };
	j->scoring = (struct scoring){ .docs = j->pointers, .n = j->n_docs, .unit = "answer" };
	if (scoring_planned(&j->scoring, j->app, &j->l, embedder_scorer(j->embedder), &plan, e) < 0)
		return -1;
	metering_phase("embed");
	j->states = mem_array(room, sizeof(*j->states));
	scoring_begin(&j->scoring);
	size_t doc = 0;
	for (size_t at = 0; at < j->n_todo; at += BATCH) {
		int took = run_batch(j, at, doc, e);
		if (took < 0)
			return -1;
		doc += (size_t)took;
		j->scoring.docs = j->pointers + doc;
	}
	log_live_end();
	return 0;
}

static int compute(struct job *j, struct err *e)
{
	if (loaded_open(&j->l, j->o->model, j->o->adapter, e) < 0)
		return -1;
	j->max_length = MIN(MAX_LENGTH, j->l.model.config.n_ctx);
	if (model_compute(j->app, &j->l.model, j->o->compute, PREPARE_SCORE, e) < 0 ||
	    model_tokenizer_whole(&j->l.model, e) < 0 ||
	    text_length(&j->l.model, j->o->max_length, &j->max_length, e) < 0 ||
	    source_hash(&j->l.model.source, j->hash, e) < 0 ||
	    make_documents(j, e) < 0)
		return -1;
	if (j->n_cut)
		log_warn("%zu of %zu answers are longer than %d tokens with their prompts and cut there",
		         j->n_cut, j->n_docs, j->max_length);
	return j->n_todo == 0 ? 0 : run_model(j, e) < 0 ? -1 : load(j, e);
}

/* --- what it says --- */

struct told { size_t states, open; double most, mean, penalty; size_t compared; };

static void look(struct job *j, struct told *t)
{
	struct comparison *c;
	struct heads h;
	const struct said *s = &j->said;
	size_t n = comparisons_of(s, &j->mem, &c);
	bool *judged = arena_array(&j->mem, s->n_items, sizeof(*judged));
	double *information = arena_array(&j->mem, s->n_items, sizeof(*information)), sum = 0;

	heads_fit(&h, s, c, n, HEADS, 0, HEADS_SEED, &j->mem);
	heads_information(&h, s, false, information);
	for (size_t i = 0; i < n; i++)
		judged[c[i].item] = true;
	for (size_t i = 0; i < s->n_items; i++) {
		t->states += s->states.of[i] != NULL;
		if (judged[i] || isnan(information[i]))
			continue;
		t->open++;
		sum += information[i];
		t->most = fmax(t->most, information[i]);
	}
	t->mean = t->open ? sum / (double)t->open : NAN;
	t->compared = n;
	t->penalty = h.penalty;
}

static void report(struct job *j, const char *path, const struct told *t)
{
	app_summary(j->app, json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:f, s:f}", "feedback", jsonx_path(path),
	                              "states", (json_int_t)t->states, "width",
	                              (json_int_t)j->said.states.width, "comparisons", (json_int_t)t->compared,
	                              "open", (json_int_t)t->open, "information", jsonx_number(t->mean), "most",
	                              t->most, "penalty", t->penalty));
	if (j->app->json)
		return;
	log_say("%s: %zu of %zu items have states of %zu numbers; %d heads learnt from %zu comparisons", path,
	        t->states, j->said.n_items, j->said.states.width, HEADS, t->compared);
	if (t->open)
		log_say("a label of one of the %zu items that nobody judged tells them %.3g nats on average, %.3g at "
		        "most", t->open, t->mean, t->most);
}

static int rank(struct job *j, const char *path, struct err *e)
{
	struct told told = { 0 };

	if (feedback_open(&j->f, path, j->o->model != NULL, e) < 0 || load(j, e) < 0 ||
	    (j->o->model && compute(j, e) < 0))
		return -1;
	if (j->said.states.width == 0)
		return err_set(e, "%s: no model was run over its answers yet; --model MODEL was wanted", path);
	metering_in("data", path, NULL);
	look(j, &told);
	report(j, path, &told);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct job j = { .app = app, .o = options, .longest = 1 };

	app_catch_signals();
	int status = rank(&j, p->positional[0], e);
	embedder_free(j.embedder);
	mem_free(j.states);
	if (j.o->model)
		loaded_close(&j.l);
	feedback_close(j.f);
	arena_release(&j.mem);
	return status;
}

const struct command cmd_feedback_rank = {
	.name = "feedback rank",
	.summary = "runs a frozen model over the answers once: which item tells a reward model most, what more labels "
	           "are worth",
	.usage = "F.db [--model MODEL]",
	.example = "kungfu feedback rank F.db --model minilm",
	.plans = true,
	.order = 54,
	.opts = rank_opts,
	.options_size = sizeof(struct rank),
	.least = 1, .most = 1, .wanted = "a file of feedback was wanted",
	.run = run,
};
