/* ladder: what rungs share: one open model, answering rows with it, training. See ladder.h.
 *
 * A training takes as many steps as its epochs, at least `least_steps` of the priors, and as many fewer as
 * train_seconds wants: that is decided once, by its plan, and kept in `notes`, so that a run that goes on elsewhere
 * trains the same. */
#include "ladder/ladder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/chat.h"
#include "data/content_free.h"
#include "data/fewshot.h"
#include "gas/predict.h"
#include "ladder/learnt.h"
#include "model/prepare.h"
#include "model/resident.h"
#include "op/timing.h"
#include "train/recipe.h"

enum { TEXT_WINDOW = 1024, BATCH = 8, EPOCHS_MOST = 50, GROW_TIMES = 4, GROW_MOST = 8192 };

const struct rung *rung_find(const char *name)
{
	for (size_t i = 0; rung_table[i]; i++)
		if (!strcmp(rung_table[i]->name, name))
			return rung_table[i];
	return NULL;
}

const struct rung *rung_of_way(const char *name)
{
	char *rung = mem_strndup(name, strcspn(name, "@+"));
	const struct rung *r = rung_find(rung);

	mem_free(rung);
	return r;
}

/* --- the model --- */

static void close_model(struct ladder *l)
{
	if (!l->open)
		return;
	template_free(l->chat);
	l->chat = NULL;
	model_close(&l->base);
	mem_free(l->open);
	l->open = NULL;
}

static int open_subject(const struct ladder *l, struct model *m, const char *path, const char *adapter, struct err *e)
{
	if (model_open(m, path, e) < 0)
		return -1;
	int status = adapter ? adapter_classify(m, adapter, e) : 0;
	if (status == 0)
		status = model_prepare(m, l->device->pool, compute_from_name(l->compute, l->device->kernels),
		                       PREPARE_SCORE, e);
	if (status == 0)
		status = m->config.arch->encoder ? model_tokenizer_whole(m, e) : model_tokenizer(m, e);
	if (status < 0)
		model_close(m);
	return status;
}

/* That what is open can say what comes next, and has the template where rows want it. */
static int want_words(struct ladder *l, struct err *e)
{
	struct rows rows = { .items = &l->task->rows[0].row, .n = 1, .shape = l->task->shape };
	struct evaluate_options o = { .apply_chat_template = l->apply_chat_template };

	if (!l->base.labels && model_want_causal(&l->base, e) < 0)
		return -1;
	if (!l->chat && evaluate_wants_template(&rows, &o) && chat_template(&l->chat, l->base.tokenizer, e) < 0)
		return err_prefix(e, "%s: its chat template", l->base.source.path);
	return 0;
}

/* What is open is known by its path, and by the adapter whose head it has. */
static int open_way(struct ladder *l, const struct model_way *w, struct err *e)
{
	const char *model = w->model ? w->model : l->on->path, *head = l->task->kind == TASK_LABELS ? w->adapter : NULL;
	char *name = mem_printf("%s\n%s", model, head ? head : "");
	bool same = l->open && !strcmp(l->open, name);

	if (!same) {
		ladder_close(l);
		if (open_subject(l, &l->base, model, head, e) < 0) {
			mem_free(name);
			return -1;
		}
		l->open = mem_strdup(name);
	}
	mem_free(name);
	return w->states ? 0 : want_words(l, e);
}

int ladder_open_model(struct ladder *l, struct err *e) { return open_way(l, &(struct model_way){ .model = NULL }, e); }

int ladder_open_states(struct ladder *l, struct err *e)
{
	return open_way(l, &(struct model_way){ .states = true }, e);
}

/* --- answering --- */

struct answering {
	struct ladder *l;
	const struct model_way *way;
	const size_t *at;
	struct outcome *out;
	size_t n;                 /* rows that were told */
	struct rung_price *price; /* a forecast is all that is wanted; else NULL */
	size_t rows;
	bool no_answers; /* none is written */
	char **said; /* [rows] answers, where somebody judges them; else NULL */
};

static double field(const json_t *line, const char *key)
{
	const json_t *x = json_object_get(line, key);
	return json_is_number(x) ? json_number_value(x) : NAN;
}

static int class_named(const struct task *t, const char *name)
{
	for (int c = 0; c < t->n_classes; c++)
		if (!strcmp(t->classes[c], name))
			return c;
	return -1;
}

/* The largest of the probabilities that log-probabilities are in proportion to. */
static double largest_share(const json_t *logs)
{
	double most = -INFINITY, sum = 0;
	size_t i;
	const json_t *x;

	json_array_foreach (logs, i, x)
		most = fmax(most, json_number_value(x));
	json_array_foreach (logs, i, x)
		sum += exp(json_number_value(x) - most);
	return 1 / sum;
}

/* The same of probabilities. */
static double largest(const json_t *shares)
{
	double most = 0;
	size_t i;
	const json_t *x;

	json_array_foreach (shares, i, x)
		most = fmax(most, json_number_value(x));
	return most;
}

static void take_choice(const struct task *t, const json_t *line, bool calibrated, struct outcome *o)
{
	const json_t *logs = json_object_get(line, "logprobs"), *q = json_object_get(line, "probabilities_calibrated");
	size_t gold = (size_t)field(line, "gold");

	o->hit = field(line, calibrated ? "acc_calibrated" : "acc");
	o->hit_norm = field(line, calibrated ? "acc_calibrated" : "acc_norm");
	o->logprob = json_number_value(json_array_get(logs, gold));
	o->tokens = field(line, "tokens");
	o->confidence = calibrated ? largest(q) : largest_share(logs);
	o->said = t->n_classes ? (int)field(line, calibrated ? "choice_calibrated" : "choice") : -1;
}

static void take_label(const struct task *t, const json_t *line, const struct task_row *row, struct outcome *o)
{
	const json_t *said = json_object_get(line, "predicted"), *chances = json_object_get(line, "probabilities"), *x;
	const char *name = json_string_value(said), *key;
	double most = NAN;

	json_object_foreach ((json_t *)chances, key, x)
		most = json_number_value(x) > most ? json_number_value(x) : isnan(most) ? json_number_value(x) : most;
	o->said = name ? class_named(t, name) : -1;
	o->hit = o->said >= 0 && o->said == row->class;
	o->confidence = most;
}

static void take_answer(const struct task *t, const json_t *line, struct outcome *o)
{
	const char *answer = json_string_value(json_object_get(line, "answer")), *at = answer ? answer : "";
	size_t n = strlen(at);

	o->exact = o->hit = field(line, "exact_match");
	o->f1 = field(line, "f1");
	o->logprob = field(line, "logprob");
	o->tokens = field(line, "tokens");
	while (n && strchr(" \t\r\n", at[n - 1]))
		n--;
	while (n && strchr(" \t\r\n", *at))
		at++, n--;
	char *said = mem_strndup(at, n);
	o->said = class_named(t, said);
	mem_free(said);
}

static void take_line(void *ctx, json_t *line)
{
	struct answering *a = ctx;
	const struct task *t = a->l->task;
	struct outcome *o = &a->out[a->n];

	*o = outcome_none;
	if (t->kind == TASK_CHOICES)
		take_choice(t, line, a->way->calibrated, o);
	else if (t->kind == TASK_LABELS)
		take_label(t, line, &t->rows[a->at[a->n]], o);
	else if (t->kind == TASK_ANSWERS)
		take_answer(t, line, o);
	if (a->said) {
		const char *answer = json_string_value(json_object_get(line, "answer"));
		a->said[a->n] = mem_strdup(answer ? answer : "");
	}
	if (t->kind == TASK_TEXTS)
		o->logprob = field(line, "logprob"), o->tokens = field(line, "tokens");
	a->n++;
}

static int tell(void *ctx, const struct evaluate_progress *p)
{
	struct answering *a = ctx;

	return a->l->progress ? a->l->progress(a->l->ctx, p) : 0;
}

/* Where a forecast is all that is wanted it ends here, as an error without a sentence. */
static int take_forecast(void *ctx, const struct evaluate_forecast *f, struct err *e)
{
	struct answering *a = ctx;
	double n = (double)a->rows, scoring = a->l->task->kind == TASK_ANSWERS ? f->score_seconds : 0;

	*a->price = (struct rung_price){ .make = { 0, 0, 0 },
		                         .answer = (f->score_seconds - scoring + f->answer_seconds) / n,
		                         .scoring = scoring / n,
		                         .spare = f->spare_seconds / n,
		                         .bytes = (double)f->bytes,
		                         .operations = 0 };
	return err_set(e, "%s", "");
}

/* Rows and what has no content, with what stands before them; as they are where nothing does. */
struct asked_rows {
	struct fewshot *prompt;
	struct rows plain, found, made, free, free_made;
	bool has_found, has_made, has_free, has_free_made;
};

static int place_sources(struct asked_rows *r, struct ladder *l, const struct model_way *w, struct err *e)
{
	if (!w->sources)
		return 0;
	r->has_found = true;
	return l->find(l->find_ctx, l->base.tokenizer, &r->plain, &r->found, &l->find_seconds, e);
}

/* Rows as they are asked. */
static const struct rows *asked_as(const struct asked_rows *r)
{
	return r->has_made ? &r->made : r->has_found ? &r->found : &r->plain;
}

static int place_prompt(struct asked_rows *r, const struct ladder *l, const struct model_way *w, struct err *e)
{
	struct fewshot_options o = { .chat = l->apply_chat_template, .template_ = l->chat != NULL };

	if (!w->prompt)
		return 0;
	if (fewshot_load(&r->prompt, w->prompt, &o, e) < 0 || fewshot_apply(r->prompt, asked_as(r), &r->made, e) < 0)
		return -1;
	r->has_made = true;
	return 0;
}

/* In the wording of the rows to learn from, so that it does not depend on which are asked. */
static int make_free(const struct ladder *l, struct rows *out, struct err *e)
{
	size_t n, *at = task_side(l->task, SIDE_TRAIN, &n);
	struct rows rows = { .items = mem_array(MAX(n, 1), sizeof(*rows.items)), .n = n, .shape = l->task->shape };

	for (size_t i = 0; i < n; i++)
		rows.items[i] = l->task->rows[at[i]].row;
	int status = content_free_rows(&rows, out, e);
	mem_free(rows.items);
	mem_free(at);
	return status;
}

static int place_free(struct asked_rows *r, const struct ladder *l, const struct model_way *w, struct err *e)
{
	if (!w->calibrated)
		return 0;
	if (make_free(l, &r->free, e) < 0)
		return -1;
	r->has_free = true;
	if (!r->prompt)
		return 0;
	if (fewshot_apply(r->prompt, &r->free, &r->free_made, e) < 0)
		return -1;
	r->has_free_made = true;
	return 0;
}

static void asked_rows_release(struct asked_rows *r)
{
	fewshot_free(r->prompt);
	mem_free(r->plain.items);
	if (r->has_found)
		rows_release(&r->found);
	if (r->has_made)
		rows_release(&r->made);
	if (r->has_free)
		rows_release(&r->free);
	if (r->has_free_made)
		rows_release(&r->free_made);
}

/* Each micro-batch reads what all rows begin with once, so it is a few times as long as that. */
static int32_t micro_batch(const struct answering *a)
{
	const char *text = json_string_value(json_object_get(a->way->prompt, "text"));
	struct tokens ids = { 0 };
	struct err unused = ERR_INIT;
	size_t n = 0;

	if (text && tokenizer_encode(a->l->base.tokenizer, text, strlen(text), 0, &ids, &unused) == 0)
		n = ids.n;
	tokens_release(&ids);
	return MAX(a->l->micro_batch_tokens, (int32_t)MIN(GROW_TIMES * n, (size_t)GROW_MOST));
}

static int evaluate_asked(struct answering *a, const struct subject *s, const struct asked_rows *r, struct err *e)
{
	static const char *const stop = "\n\n";
	const struct task *t = a->l->task;
	int32_t virtual = overlays_virtual(s->overlay), most = s->model->config.n_ctx - virtual;
	struct evaluate_options o = { .micro_batch_tokens = micro_batch(a),
		                      .max_length = t->kind == TASK_TEXTS ? MIN(most, TEXT_WINDOW) : most,
		                      .apply_chat_template = a->l->apply_chat_template,
		                      .no_scores = a->l->no_scores,
		                      .no_answers = a->no_answers,
		                      .whole = r->has_made || r->has_found,
		                      .stop = &stop,
		                      .max_new_tokens = a->l->max_new_tokens,
		                      .n_stop = r->has_made && !a->l->apply_chat_template,
		                      .calibrate = r->has_free ? CALIBRATE_CONTEXTUAL : CALIBRATE_NONE,
		                      .content_free = !r->has_free     ? NULL :
		                                      r->has_free_made ? &r->free_made :
		                                                         &r->free,
		                      .progress = tell,
		                      .detail = take_line,
		                      .planned = a->price ? take_forecast : NULL,
		                      .ctx = a };
	struct evaluation v = { 0 };

	o.stride = MAX(o.max_length / 2, 1);
	int status = evaluate(&v, s, asked_as(r), &o, e);
	if (status == 0 && a->n != a->rows)
		BUG("%zu of %zu rows were told", a->n, a->rows);
	a->l->write_seconds += v.writing_seconds;
	if (t->kind == TASK_ANSWERS)
		a->l->score_seconds += v.score_seconds;
	evaluation_release(&v);
	return status;
}

static int evaluate_rows(struct answering *a, const struct subject *s, struct err *e)
{
	struct row *rows = mem_array(MAX(a->rows, 1), sizeof(*rows));
	struct asked_rows r = { .plain = { .items = rows, .n = a->rows, .shape = a->l->task->shape } };

	for (size_t i = 0; i < a->rows; i++)
		rows[i] = a->l->task->rows[a->at[i]].row;
	int status = place_sources(&r, a->l, a->way, e);
	if (status == 0)
		status = place_prompt(&r, a->l, a->way, e);
	if (status == 0)
		status = place_free(&r, a->l, a->way, e);
	if (status == 0)
		status = evaluate_asked(a, s, &r, e);
	asked_rows_release(&r);
	return status;
}

static int answer_with(struct answering *a, struct err *e)
{
	const char *adapter = a->way->adapter;
	struct ladder *l = a->l;
	struct adapter over = { 0 };

	if (adapter && adapter_load(&over, adapter, &l->base, e) < 0)
		return -1;
	struct subject s = { &l->base, adapter ? &over.overlay : NULL, l->chat, l->device };
	int status = evaluate_rows(a, &s, e);
	if (adapter)
		adapter_release(&over);
	return status;
}

int ladder_reward(struct ladder *l, const size_t *at, const char *const *answers, size_t n, struct outcome *out,
                  struct err *e)
{
	if (!l->reward || l->unjudged)
		return 0;
	double *x = mem_array(n + 1, sizeof(*x)), began = clock_seconds();
	int status = l->reward(l->reward_ctx, l->task, at, answers, n, x, e);

	l->reward_seconds += clock_seconds() - began;
	for (size_t i = 0; i < n && status == 0; i++)
		out[i].reward = x[i];
	mem_free(x);
	return status;
}

/* Rows with answers are all answered, or the first of them, as many as are left. */
static int answer_some(struct answering *a, struct err *e)
{
	struct ladder *l = a->l;
	size_t all = a->rows, n = MIN(all, l->answers_left);

	if (l->task->kind != TASK_ANSWERS || l->answers_left == SIZE_MAX)
		return answer_with(a, e);
	a->rows = n;
	l->answers_left -= n;
	int status = n ? answer_with(a, e) : 0;
	if (status < 0 || n == all)
		return status;
	struct answering rest = { .l = l, .way = a->way, .at = a->at + n, .out = a->out + n, .rows = all - n,
		                  .no_answers = true };
	return answer_with(&rest, e);
}

int ladder_answer(struct ladder *l, const struct model_way *w, const size_t *at, size_t n, struct outcome *out,
                  struct err *e)
{
	struct answering a = { .l = l, .way = w, .at = at, .out = out, .rows = n };

	if (l->reward && l->task->kind == TASK_ANSWERS)
		a.said = mem_array(n + 1, sizeof(*a.said));
	int status = open_way(l, w, e) < 0 ? -1 : answer_some(&a, e);
	if (status == 0 && a.said)
		status = ladder_reward(l, at, (const char *const *)a.said, n, out, e);
	for (size_t i = 0; a.said && i < n; i++)
		mem_free(a.said[i]);
	mem_free(a.said);
	return status;
}

int ladder_forecast(struct ladder *l, const struct model_way *w, struct rung_price *p, struct err *e)
{
	static const struct log_sink nobody;
	size_t n, *at = task_side(l->task, SIDE_CHOOSE, &n);
	struct answering a = { .l = l, .way = w, .at = at, .rows = n, .price = p };
	const struct log_sink *lent = log_lend(&nobody); /* it is said when they are answered */
	double found = l->find_seconds;
	int status = open_way(l, w, e);

	if (status == 0)
		status = answer_with(&a, e);
	log_lend(lent);
	mem_free(at);
	if (status == 0 || e->msg[0])
		return status < 0 ? status : err_set(e, "nothing was forecast");
	size_t owned, mapped = model_read_bytes(&l->base, &(struct model_reads){ .token = NULL }, &owned);
	p->bytes += (double)(mapped + owned);
	p->find = (l->find_seconds - found) / (double)a.rows;
	p->answer += p->find;
	return 0;
}

int ladder_price_model(struct ladder *l, struct rung_price *p, struct err *e)
{
	struct base_model *b = l->on;

	if (!b->is_priced && ladder_forecast(l, &(struct model_way){ .model = NULL }, &b->bare, e) < 0)
		return -1;
	b->is_priced = true;
	*p = b->bare;
	return 0;
}

/* --- training --- */

struct making {
	struct recipe recipe;
	struct opt_parse parse;
	char *data, *out;
};

static void making_release(struct making *m)
{
	opt_release(&m->parse);
	mem_free(m->data);
	mem_free(m->out);
}

/* A training as it is priced. */
struct priced {
	struct making making;
	struct trainer *trainer;
};

static void priced_free(struct priced *p)
{
	if (!p)
		return;
	trainer_close(p->trainer);
	making_release(&p->making);
	mem_free(p);
}

static void close_priced(struct ladder *l)
{
	priced_free(l->priced);
	l->priced = NULL;
}

void ladder_close(struct ladder *l)
{
	close_model(l);
	close_priced(l);
}

static int set(struct making *m, const char *name, const char *value, struct err *e)
{
	return opt_assign(&m->parse, name, value, e);
}

static int set_number(struct making *m, const char *name, double x, struct err *e)
{
	char text[32];

	snprintf(text, sizeof(text), "%.17g", x);
	return isnan(x) ? 0 : set(m, name, text, e);
}

static size_t rows_of(const struct ladder *l) { return l->part ? l->part_n : l->task->side_n[SIDE_TRAIN]; }

static double epochs_of(const struct ladder *l, const struct rung_prior *p)
{
	double least = p->least_steps * BATCH / (double)rows_of(l);

	return fmin(fmax(p->epochs, least), EPOCHS_MOST);
}

static int set_all(struct ladder *l, struct making *m, const struct training *t, struct err *e)
{
	const struct rung_prior *p = priors_of(l->priors, t->rung);
	int status = set(m, "model", l->on->path, e) | set(m, "data", m->data, e) | set(m, "out", m->out, e) |
	             set(m, "forgetting", "false", e) | set_number(m, "seed", (double)l->seed, e) |
	             set_number(m, "max-length", l->max_length, e) |
	             set(m, "apply-chat-template", l->apply_chat_template ? "true" : "false", e) |
	             set_number(m, "learning-rate", p->rate, e) |
	             set_number(m, "num-train-epochs", epochs_of(l, p), e) |
	             (l->task->kind == TASK_LABELS ? set(m, "objective", "classification", e) : 0);

	for (size_t i = 0; status == 0 && t->options[i]; i += 2)
		status = set(m, t->options[i], t->options[i + 1], e);
	if (status == 0 && !isnan(p->rank) && opt_find(m->parse.table, "lora-r"))
		status = set_number(m, "lora-r", p->rank, e) | set_number(m, "lora-alpha", 2 * p->rank, e);
	return status ? -1 : 0;
}

/* Of a part as many as its epochs have, where all rows together have more. */
static double steps_of(const struct ladder *l, const struct training *t, double noted)
{
	double own = ceil(epochs_of(l, priors_of(l->priors, t->rung)) * (double)rows_of(l) / BATCH);

	return l->part ? fmin(noted, own) : noted;
}

static char *rows_path(const struct ladder *l, const char *name)
{
	return mem_printf("%s/data/%s.jsonl", l->dir, name);
}

/* Of the rows that a training learns from, with documents or without. */
static char *train_path(const struct ladder *l, bool found)
{
	return mem_printf("%s/data/%s%s.jsonl", l->dir, l->part ? l->part : "train", found ? "-with-documents" : "");
}

static int write_lines(const char *path, const struct rows *rows, struct err *e)
{
	struct io_writer w;
	int status = io_writer_open(&w, path, e);

	if (status)
		return -1;
	for (size_t i = 0; i < rows->n && status == 0; i++) {
		char *line = jsonx_line(rows->items[i].json);
		if (io_writer_add(&w, line, strlen(line), e) < 0 || io_writer_add(&w, "\n", 1, e) < 0)
			status = -1;
		mem_free(line);
	}
	return io_writer_end(&w, status, e);
}

/* How long the longest of them is as a document, of which nothing may be cut. */
static int longest_of(const struct ladder *l, const struct rows *rows, int32_t *longest, struct err *e)
{
	struct text_codec codec = { l->base.tokenizer, l->chat };
	struct document_options o = { .max_length = l->base.config.n_ctx,
		                      .apply_chat_template = l->apply_chat_template,
		                      .whole = true };
	struct documents d = { 0 };
	int status = documents_make(&d, rows, &codec, &o, e);

	*longest = 0;
	for (size_t i = 0; status == 0 && i < d.n; i++)
		*longest = MAX(*longest, d.items[i].n);
	documents_release(&d);
	return status;
}

/* Those that are there already stay. */
static int write_found(struct ladder *l, struct err *e)
{
	struct rows rows = { 0 }, found = { 0 };
	char *from = train_path(l, false), *to = train_path(l, true);
	int status = 0;

	if (l->found.on != l->on || l->found.part != l->part) {
		l->found.on = NULL;
		status = ladder_open_model(l, e) < 0 ? -1 : rows_load(&rows, from, e);
		if (status == 0)
			status = l->find(l->find_ctx, l->base.tokenizer, &rows, &found, &l->find_seconds, e);
		if (status == 0)
			status = longest_of(l, &found, &l->found.longest, e);
		if (status == 0)
			status = write_lines(to, &found, e);
		if (status == 0)
			l->found.on = l->on;
		l->found.part = l->part;
	}
	rows_release(&found);
	rows_release(&rows);
	mem_free(from);
	mem_free(to);
	return status;
}

static int making_begin(struct ladder *l, struct making *m, const struct training *t, const char *dir, struct err *e)
{
	*m = (struct making){ .data = NULL };
	if (t->sources && write_found(l, e) < 0)
		return -1;
	close_model(l);
	*m = (struct making){ .data = train_path(l, t->sources), .out = mem_strdup(dir) };
	int status = opt_begin(&m->parse, recipe_opts, &m->recipe, e);
	if (status == 0)
		status = set_all(l, m, t, e);
	const json_t *note = json_object_get(json_object_get(l->on->notes, t->rung), "max_steps");
	if (status == 0 && t->sources && l->found.longest > l->max_length)
		status = set_number(m, "max-length", l->found.longest, e);
	if (status == 0 && note)
		status = set_number(m, "max-steps", steps_of(l, t, json_number_value(note)), e);
	if (status == 0)
		status = recipe_resolve(&m->recipe, e);
	if (status == 0)
		recipe_settle(&m->recipe, l->device->kernels);
	if (status)
		making_release(m);
	return status ? -1 : 0;
}

int ladder_train(struct ladder *l, const struct training *t, const char *dir, struct err *e)
{
	struct making m;

	close_priced(l);
	if (making_begin(l, &m, t, dir, e) < 0)
		return -1;
	int status = l->train(l->ctx, &m.recipe, e);
	making_release(&m);
	return status;
}

static struct span seconds_span(double seconds, double loose)
{
	struct predicted p;
	struct predicted_spans s;

	predict_begin(&p, "rung");
	predict_phase(&p, "work", seconds);
	p.loose_seconds = loose;
	predict_spans(&p, NULL, &s);
	return s.seconds;
}

/* Fewer steps where all of them would take longer than is allowed; their number is noted. */
static void note_steps(struct ladder *l, const struct training *t, const struct trainer_plan *p, double slower,
                       double *share)
{
	double most = l->train_seconds / slower, rest = p->planned_seconds - p->step_seconds, room = most - rest;
	long steps = p->steps;

	if (p->planned_seconds > most)
		steps = (long)fmax(1, floor((double)steps * room / p->step_seconds));
	*share = (double)steps / (double)p->steps;
	json_object_set_new(l->on->notes, t->rung, json_pack("{s:I}", "max_steps", (json_int_t)steps));
}

double ladder_rows_seen(const struct base_model *on, const char *rung, double n)
{
	double steps = json_number_value(json_object_get(json_object_get(on->notes, rung), "max_steps"));

	return steps > 0 ? fmin(n, steps * BATCH) : n;
}

/* The model is read once, for all trainings that may share it; what another one saves by that its run will take. */
static int open_priced(struct ladder *l, struct priced *p, double *opening, struct err *e)
{
	const struct recipe *r = &p->making.recipe;
	bool shares = l->priced && !recipe_apart(&l->priced->making.recipe, r);

	*opening = 0;
	if (!shares)
		close_priced(l);
	if (trainer_open_beside(&p->trainer, r, shares ? l->priced->trainer : NULL, l->device, e) < 0)
		return -1;
	if (shares)
		*opening = fmax(0, trainer_plan(l->priced->trainer)->open_seconds -
		                           trainer_plan(p->trainer)->open_seconds);
	return 0;
}

static void take_price(struct ladder *l, const struct training *t, const struct priced *of, double opening,
                       struct rung_price *p)
{
	const struct trainer_plan *plan = trainer_plan(of->trainer);
	double rest = plan->planned_seconds - plan->step_seconds + opening, share;
	double slower = l->slower ? l->slower(l->ctx, &of->making.recipe, of->trainer) : 1;

	note_steps(l, t, plan, slower, &share);
	p->make = span_scale(seconds_span(rest + share * plan->step_seconds, plan->save_seconds), slower);
	p->operations = plan->planned_flops * share;
	p->make_bytes = (double)plan->planned_bytes;
	p->answer *= 1.15; /* an adapter's own products, and another reading of the model */
}

int ladder_price_training(struct ladder *l, const struct training *t, struct rung_price *p, struct err *e)
{
	struct priced *x;
	double opening;

	/* a head that classifies reads a row's text; what else is trained answers as the bare model does */
	if (t->sources ? ladder_forecast(l, &(struct model_way){ .sources = true }, p, e) < 0 :
	                 (l->task->kind == TASK_LABELS ? learnt_price_reading : ladder_price_model)(l, p, e) < 0)
		return -1;
	x = mem_alloc(sizeof(*x));
	if (making_begin(l, &x->making, t, l->dir, e) < 0) {
		mem_free(x);
		return -1;
	}
	x->making.recipe.speeds = l->speeds;
	int status = open_priced(l, x, &opening, e);
	if (status == 0)
		take_price(l, t, x, opening, p);
	if (status == 0 && !l->priced && !recipe_apart(&x->making.recipe, &x->making.recipe))
		l->priced = x;
	else
		priced_free(x);
	return status;
}

/* --- rows as files --- */

static int write_some(const struct ladder *l, const bool *in, const char *name, struct err *e)
{
	char *path = rows_path(l, name);
	struct rows some = { .items = mem_array(l->task->n + 1, sizeof(*some.items)) };

	for (size_t i = 0; i < l->task->n; i++)
		if (in[i])
			some.items[some.n++] = l->task->rows[i].row;
	int status = write_lines(path, &some, e);
	mem_free(some.items);
	mem_free(path);
	return status;
}

static int write_side(const struct ladder *l, enum side side, const char *name, struct err *e)
{
	bool *in = mem_array(l->task->n, sizeof(*in));

	for (size_t i = 0; i < l->task->n; i++)
		in[i] = l->task->rows[i].side == side;
	int status = write_some(l, in, name, e);
	mem_free(in);
	return status;
}

int ladder_write_part(const struct ladder *l, const char *name, const struct rung_part *part, struct err *e)
{
	bool *in = mem_array(l->task->n, sizeof(*in));

	for (size_t i = 0; i < part->n; i++)
		in[part->at[i]] = true;
	int status = write_some(l, in, name, e);
	mem_free(in);
	return status;
}

int ladder_write_rows(struct ladder *l, struct err *e)
{
	char *dir = io_join(l->dir, "data");
	int status = io_mkdirs(dir, e);

	mem_free(dir);
	if (status == 0 && write_side(l, SIDE_TRAIN, "train", e) == 0 && write_side(l, SIDE_CHOOSE, "choose", e) == 0)
		return write_side(l, SIDE_TEST, "test", e);
	return -1;
}
