/* imatrix: which columns of a model's matrices matter on a text: llama-imatrix's file, for `quantize --imatrix`. */
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "data/shape.h"
#include "eval/importance.h"
#include "infer/typical.h"

extern const struct command cmd_imatrix;

#define TRY_SECONDS 0.05               /* of trying how long a chunk takes */

struct imatrix_options {
	struct common common;
	const char *data, *out, *compute;
	int64_t ctx_size, chunks;
};

static const struct opt imatrix_opts[] = {
	OPT_STRING("data", struct imatrix_options, data, NULL, "FILE", "text or rows, as eval takes them"),
	OPT_STRING("out", struct imatrix_options, out, NULL, "FILE.gguf", "the importance matrix"),
	OPT_INT("ctx-size", struct imatrix_options, ctx_size, NULL, 2, 1 << 20,
	        "tokens of a chunk (default: 512, or the model's context if that is less)"),
	OPT_INT("chunks", struct imatrix_options, chunks, NULL, 1, 1e9, "at most so many chunks"),
	COMPUTE_OPT(struct imatrix_options, compute, "f32"),
	COMMON_OPTS(struct imatrix_options, common),
	OPT_END
};

struct collecting {
	struct app *app;
	const struct imatrix_options *o;
	struct loaded l;
	struct rows rows;
	struct documents documents;     /* of rows that are no texts */
	struct tokens *ids;             /* [rows.n] of texts */
	struct document *chunk;
	size_t n, cap;
	int32_t size;
	int64_t tokens;
	struct importance sums;
	double began, flops, int_ops;
};

/* --- chunks --- */

static void add_chunk(struct collecting *c, int32_t *ids, size_t n)
{
	if (c->o->chunks != OPT_UNSET_INT && c->n == (size_t)c->o->chunks)
		return;
	if (c->n == c->cap) {
		c->cap = MAX(2 * c->cap, (size_t)64);
		c->chunk = mem_grow(c->chunk, c->cap, sizeof(*c->chunk));
	}
	c->chunk[c->n++] = (struct document){ .ids = ids, .n = (int32_t)n, .choice = -1 };
	c->tokens += (int64_t)n;
}

/* Whole chunks, without what is left at the end, unless there is no other; what begins a text begins each. */
static void cut_text(struct collecting *c, struct tokens *ids)
{
	struct around around = tokenizer_around(c->l.model.tokenizer);
	size_t size = (size_t)c->size, front = MIN(around.n_front, size);

	if (ids->n < size && ids->n > front)
		add_chunk(c, ids->id, ids->n);
	for (size_t at = 0; at + size <= ids->n; at += size) {
		if (front)
			memcpy(ids->id + at, around.front, front * sizeof(*around.front));
		add_chunk(c, ids->id + at, size);
	}
}

static int cut_texts(struct collecting *c, struct err *e)
{
	const struct tokenizer *t = c->l.model.tokenizer;

	c->ids = mem_array(c->rows.n, sizeof(*c->ids));
	for (size_t i = 0; i < c->rows.n; i++) {
		const struct row *row = &c->rows.items[i];
		const json_t *text = json_object_get(row->json, "text");
		tokenizer_begin(t, &c->ids[i]);
		if (tokenizer_encode(t, json_string_value(text), json_string_length(text), TOKENIZE_SPECIAL,
		                     &c->ids[i], e) < 0)
			return err_prefix(e, "%s:%zu", row->file, row->line);
		cut_text(c, &c->ids[i]);
	}
	return 0;
}

static int cut_rows(struct collecting *c, struct err *e)
{
	struct document_options o = { .max_length = c->size };

	if (loaded_chat(&c->l, e) < 0)
		return -1;
	struct text_codec codec = { c->l.model.tokenizer, c->l.chat };
	if (documents_make(&c->documents, &c->rows, &codec, &o, e) < 0)
		return -1;
	columns_warn(&c->documents.columns);
	for (size_t i = 0; i < c->documents.n; i++)
		add_chunk(c, c->documents.items[i].ids, (size_t)c->documents.items[i].n);
	return 0;
}

static int make_chunks(struct collecting *c, struct err *e)
{
	int32_t most = c->l.model.config.n_ctx;

	c->size = c->o->ctx_size == OPT_UNSET_INT ? MIN(most, 512) : (int32_t)MIN(c->o->ctx_size, (int64_t)most);
	if (rows_load(&c->rows, c->o->data, e) < 0 || loaded_text(&c->l, e) < 0)
		return -1;
	metering_in("data", c->o->data, c->rows.hash);
	if (c->rows.n == 0)
		return err_set(e, "%s holds no rows", c->o->data);
	int status = c->rows.shape->judged == JUDGED_TEXTS ? cut_texts(c, e) : cut_rows(c, e);
	for (size_t i = 0; i < c->n; i++) { /* the forest wants to know what is learnt: nothing is */
		c->chunk[i].learn = mem_array((size_t)c->chunk[i].n, 1);
		memset(c->chunk[i].learn, 0, (size_t)c->chunk[i].n);
	}
	if (status == 0 && c->n == 0)
		return err_set(e, "%s: no text has two tokens", c->o->data);
	return status;
}

/* --- the work --- */

/* A chunk's seconds and operations; what was seen meanwhile is forgotten by importance_start. */
static int time_chunk(struct collecting *c, double *seconds, struct work *work, struct err *e)
{
	struct forest_options how = { .max_tokens = c->size };
	struct typical typical;
	struct timing time;
	struct batch_cap need;
	struct live live;
	int64_t tokens;
	const struct document *one = &c->chunk[0];

	forest_take(&one, 1, &how, &need, &live, &tokens);
	typical_init(&typical, 1, live.rows);
	typical_look(&typical, &one, 1, &how);
	int status = typical_time(&typical, &c->sums.pass, &how, &live, TRY_SECONDS, &time, e);
	typical_release(&typical);
	*seconds = status == 0 ? time.seconds * (double)c->tokens / c->chunk[0].n : 0;
	*work = pass_work(&c->sums.pass.pass, &live);
	return status;
}

static int plan(struct collecting *c, struct err *e)
{
	struct predicted p;
	struct work work;
	double seconds;

	if (time_chunk(c, &seconds, &work, e) < 0)
		return -1;
	double times = (double)c->tokens / c->chunk[0].n;
	c->flops = work.flops * times;
	c->int_ops = work.int_ops * times;
	predict_begin(&p, "imatrix %s", compute_name(c->l.model.compute));
	uint8_t *token = mem_array((size_t)c->l.model.config.V, 1);
	struct model_reads reads = { .token = token, .no_head = true };
	for (size_t i = 0; i < c->n; i++)
		for (int32_t k = 0; k < c->chunk[i].n; k++)
			token[c->chunk[i].ids[k]] = 1;
	double pages = loaded_predict(&c->l, &p, &reads, importance_bytes(&c->sums), 0, "activations, sums");
	mem_free(token);
	predict_phase(&p, "start", pages);
	predict_phase(&p, "chunks", seconds);
	predict_operations(&p, c->flops, c->int_ops);
	return planned(c->app, &p, NULL, e);
}

static int run_chunks(struct collecting *c, struct err *e)
{
	char left[32];

	metering_phase("chunks");
	c->began = clock_seconds();
	for (size_t i = 0; i < c->n; i++) {
		if (importance_add(&c->sums, &c->chunk[i], e) < 0)
			return -1;
		metering_tick();
		if (app_interrupted() || metering_over())
			return err_set(e, "interrupted after %zu of %zu chunks", i + 1, c->n);
		double seconds = clock_seconds() - c->began;
		clock_human(seconds / (double)(i + 1) * (double)(c->n - i - 1), left);
		if (seconds > 2)
			log_live("%zu of %zu chunks  %s left  %s", i + 1, c->n, left, metering_live());
	}
	return 0;
}

static int write_sums(struct collecting *c, struct err *e)
{
	size_t n;
	const struct imatrix_sums *s = importance_sums(&c->sums, &n);
	struct imatrix_about about = { c->o->data, (uint32_t)c->n, (uint32_t)c->size };
	size_t unseen = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < s[i].parts; k++)
			unseen += s[i].count[k] == 0;
	if (imatrix_write(c->o->out, s, n, &about, e) < 0)
		return -1;
	log_live_end();
	if (unseen)
		log_warn("no token came to %zu experts' matrices: more text would reach them", unseen);
	metering_out("result", c->o->out);
	metering_count(c->tokens, 0, 0, c->flops, c->int_ops);
	app_summary(c->app, json_pack("{s:o, s:I, s:I, s:I}", "out", jsonx_path(c->o->out), "entries", (json_int_t)n,
	                              "chunks", (json_int_t)c->n, "tokens", (json_int_t)c->tokens));
	if (!c->app->json)
		log_say("%s: sums of %zu matrices over %lld tokens in %zu chunks of %s", c->o->out, n,
		        (long long)c->tokens, c->n, c->o->data);
	return 0;
}

static int collect(struct collecting *c, const char *model, struct err *e)
{
	if (loaded_open_alone(&c->l, model, e) < 0)
		return -1;
	int status = make_chunks(c, e);
	if (status == 0)
		status = model_compute(c->app, &c->l.model, c->o->compute, PREPARE_SCORE, e);
	if (status == 0) {
		status = importance_begin(&c->sums, &c->l.model, c->app->device, c->size, e);
		if (status == 0)
			status = plan(c, e);
		if (status == 0)
			status = importance_start(&c->sums, e);
		if (status == 0)
			status = run_chunks(c, e);
		if (status == 0)
			status = write_sums(c, e);
		importance_end(&c->sums);
	}
	for (size_t i = 0; i < c->n; i++)
		mem_free(c->chunk[i].learn);
	for (size_t i = 0; c->ids && i < c->rows.n; i++)
		tokens_release(&c->ids[i]);
	mem_free(c->ids);
	mem_free(c->chunk);
	documents_release(&c->documents);
	rows_release(&c->rows);
	loaded_close(&c->l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct imatrix_options *o = options;
	struct collecting c = { .app = app, .o = o };

	app_catch_signals();
	if (!o->data || !o->out)
		return app_usage(&cmd_imatrix, "--data FILE and --out FILE.gguf were wanted");
	return collect(&c, p->positional[0], e);
}

const struct command cmd_imatrix = {
	.name = "imatrix",
	.summary = "which columns of a model's matrices matter on a text, for quantize",
	.usage = "MODEL --data FILE --out FILE.gguf [options]",
	.example = "kungfu imatrix model --data a.txt --out i.gguf",
	.brief = "what matters when fewer",
	.plans = true,
	.order = 64,
	.opts = imatrix_opts,
	.options_size = sizeof(struct imatrix_options),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
