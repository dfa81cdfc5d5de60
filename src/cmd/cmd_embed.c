/* embed: a vector for each text of a file, by the model's own settings (infer/embed_settings.h) or as options say.
 *
 * The file has a text a line, or rows with a column `text` (.jsonl, .json, .csv, .tsv, also .gz, or a folder of them).
 * --out F.jsonl has each row with `embedding` added, F.npy the vectors alone, float32 [texts][width] in NumPy's format
 * 1.0. The file appears when it is whole. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/scoring.h"
#include "cmd/text_rows.h"
#include "infer/embed_settings.h"
#include "token/tokenizer.h"

extern const struct command cmd_embed;

#define NUMBER_SECONDS 1.5e-7           /* of writing a number of a line; past runs say better */

struct embed {
	struct common common;
	const char *out, *adapter, *pooling, *prompt_name, *prompt, *compute;
	bool normalize;
	int64_t max_length, limit, micro_batch_tokens;
};

static const struct opt embed_opts[] = {
	OPT_GROUP("What"),
	OPT_STRING("out", struct embed, out, NULL, "FILE",
	           "F.jsonl: the rows with `embedding` added; F.npy: the vectors alone, float32"),
	ADAPTER_OPT(struct embed, adapter),
	OPT_INT("limit", struct embed, limit, NULL, 1, 1e12, "only the first N texts"),
	OPT_GROUP("How"),
	OPT_CHOICE("pooling", struct embed, pooling, "auto", "auto|mean|cls|last|max",
	           "how the tokens' states become one vector; auto: as the model's files say, else an encoder's mean, "
	           "a decoder's last"),
	OPT_FLAG("normalize", struct embed, normalize, "false",
	         "vectors of length 1 (default: as the model's files say)"),
	OPT_STRING("prompt-name", struct embed, prompt_name, NULL, "NAME",
	           "one of the model's own prompts, put before every text"),
	OPT_STRING("prompt", struct embed, prompt, NULL, "TEXT", "put before every text"),
	OPT_INT("max-length", struct embed, max_length, NULL, 1, 1 << 20,
	        "most tokens of a text, those around it included (default: as the model's files say)"),
	OPT_INT("micro-batch-tokens", struct embed, micro_batch_tokens, "2048", 2, 1 << 22, "tokens computed at once"),
	COMPUTE_OPT(struct embed, compute, "f32"),
	COMMON_OPTS(struct embed, common),
	OPT_END
};

struct job {
	struct app *app;
	const struct embed *o;
	struct loaded l;
	struct embed_settings how;
	const char *prompt;
	struct text_rows texts;
	struct buf text;                /* the one that is encoded, with the prompt */
	struct scoring scoring;
	struct embedder *embedder;
	float *vectors;                 /* [rows.n][width] */
	struct io_writer file;
	size_t width;
	double seconds;
};

/* --- reading --- */

static int encode(void *ctx, const struct row *r, struct document *d, struct arena *mem, size_t *cut, struct err *e)
{
	struct job *j = ctx;
	const json_t *own = json_object_get(r->json, "text");

	if (!json_is_string(own))
		return err_set(e, "no column `text` that is a text");
	buf_clear(&j->text);
	embed_settings_text(&j->how, j->prompt, json_string_value(own), json_string_length(own), &j->text);
	return embed_document(d, mem, j->l.model.tokenizer, buf_str(&j->text), j->text.len, j->how.max_length, cut, e);
}

/* --- settings --- */

static int settle(struct job *j, bool normalize_given, struct err *e)
{
	const struct embed *o = j->o;
	struct embed_settings *s = &j->how;

	if (embed_settings_read(s, &j->l.model, e) < 0)
		return -1;
	if (strcmp(o->pooling, "auto") != 0)
		s->pooling = (enum pooling)pooling_find(o->pooling);
	if (normalize_given)
		s->normalize = o->normalize;
	if (text_length(&j->l.model, o->max_length, &s->max_length, e) < 0)
		return -1;
	j->prompt = o->prompt ? o->prompt : embed_settings_prompt(s, o->prompt_name, e);
	if (!j->prompt)
		return -1;
	if (!utf8_valid(j->prompt, strlen(j->prompt), NULL))
		return err_set(e, "--prompt is not UTF-8");
	if (*j->prompt && !s->with_prompt)
		return err_set(e, "the model's pooling leaves a prompt's tokens out (include_prompt false), which is "
		                  "not computed");
	return 0;
}

/* --- the work --- */

static int plan_embedding(struct job *j, struct err *e)
{
	double numbers = (double)j->texts.rows.n * (double)j->width;
	const struct scoring_plan plan = { .command = "embed", .phase = "embedding", .what = "activations, vectors",
		                           .bytes = (size_t)numbers * sizeof(float), .no_head = true,
		                           .writing = text_stem(j->o->out, ".npy") ? 0 : numbers * NUMBER_SECONDS };

	return scoring_planned(&j->scoring, j->app, &j->l, embedder_scorer(j->embedder), &plan, e);
}

static int compute(struct job *j, struct err *e)
{
	const struct text_rows *t = &j->texts;
	struct embed_options eo = { .max_tokens = (int32_t)j->o->micro_batch_tokens, .max_length = t->longest,
		                    .pooling = j->how.pooling, .normalize = j->how.normalize };

	j->scoring = (struct scoring){ .docs = t->pointers, .n = t->rows.n, .unit = "text" };
	if (embedder_new(&j->embedder, &j->l.model, loaded_overlay(&j->l), j->app->device, &eo, e) < 0)
		return -1;
	j->width = embedder_width(j->embedder);
	if (plan_embedding(j, e) < 0)
		return -1;
	metering_phase("embed");
	j->vectors = mem_array(t->rows.n * j->width, sizeof(*j->vectors));
	scoring_begin(&j->scoring);
	int status = embedder_run(j->embedder, t->pointers, t->rows.n, j->vectors, scoring_progress, &j->scoring, e);
	j->seconds = clock_seconds() - j->scoring.began;
	return status;
}

/* --- writing --- */

static void add_number(struct buf *line, float x)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", (double)x);
	buf_adds(line, text);
}

/* The row's own columns, then the vector; nine digits are the same float32 again. */
static int write_row(struct job *j, size_t i, struct buf *line, struct err *e)
{
	const float *x = j->vectors + i * j->width;
	json_t *row = json_copy(j->texts.rows.items[i].json);

	json_object_del(row, "embedding");
	char *own = jsonx_line(row);
	json_decref(row);
	buf_clear(line);
	buf_add(line, own, strlen(own) - 1);
	mem_free(own);
	buf_adds(line, line->len > 1 ? ", \"embedding\": [" : "\"embedding\": [");
	for (size_t k = 0; k < j->width; k++) {
		if (k)
			buf_adds(line, ", ");
		if (isfinite(x[k]))
			add_number(line, x[k]);
		else
			buf_adds(line, "null");
	}
	buf_adds(line, "]}\n");
	return io_writer_add(&j->file, buf_str(line), line->len, e);
}

/* NumPy's format 1.0: magic, version, length of a header that is padded to 64 bytes, numbers. */
static int write_npy(struct job *j, struct err *e)
{
	enum { PREFIX = 10, ALIGN = 64 };
	struct buf head = BUF_INIT;

	buf_addf(&head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", j->texts.rows.n, j->width);
	while ((PREFIX + head.len + 1) % ALIGN)
		buf_addc(&head, ' ');
	buf_addc(&head, '\n');
	const unsigned char prefix[PREFIX] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(head.len & 0xFF),
		                               (unsigned char)(head.len >> 8) };
	int status = io_writer_add(&j->file, prefix, sizeof(prefix), e);
	if (status == 0)
		status = io_writer_add(&j->file, buf_str(&head), head.len, e);
	buf_release(&head);
	return status < 0 ? -1 : io_writer_add(&j->file, j->vectors, j->texts.rows.n * j->width * sizeof(float), e);
}

static int write_all(struct job *j, struct err *e)
{
	struct buf line = BUF_INIT;
	int status = 0;

	metering_phase("write");
	if (text_stem(j->o->out, ".npy"))
		status = write_npy(j, e);
	else
		for (size_t i = 0; i < j->texts.rows.n && status == 0; i++)
			status = metering_over() ? err_set(e, "interrupted while vectors were written") :
			                           write_row(j, i, &line, e);
	buf_release(&line);
	return status < 0 ? -1 : io_writer_commit(&j->file, e);
}

static void report(struct job *j)
{
	struct scorer *s = embedder_scorer(j->embedder);
	const char *pooling = pooling_names[j->how.pooling];
	const struct text_rows *t = &j->texts;
	char time[32];

	log_live_end();
	if (t->n_cut)
		log_warn("%zu of %zu texts are longer than %d tokens and cut there, %lld tokens in all", t->n_cut,
		         t->rows.n, j->how.max_length, (long long)t->cut_tokens);
	metering_out("result", j->o->out);
	metering_count(t->tokens, 0, -1, scorer_flops(s), scorer_int_ops(s));
	json_t *out = json_pack("{s:o, s:I, s:I, s:s, s:b, s:s, s:i, s:I, s:I, s:I, s:f, s:f}", "out",
	                        jsonx_path(j->o->out), "texts", (json_int_t)t->rows.n, "width", (json_int_t)j->width,
	                        "pooling", pooling, "normalize", (int)j->how.normalize, "prompt", j->prompt,
	                        "max_length", j->how.max_length, "truncated", (json_int_t)t->n_cut, "tokens",
	                        (json_int_t)t->tokens, "computed_tokens", (json_int_t)scorer_computed_tokens(s),
	                        "seconds", j->seconds, "tokens_per_second", (double)t->tokens / j->seconds);
	app_summary(j->app, out);
	if (j->app->json)
		return;
	clock_human(j->seconds, time);
	log_say("%s: %zu vectors of %zu numbers, pooling %s%s%s, %lld tokens in %s, %.0f tokens/s", j->o->out,
	        t->rows.n, j->width, pooling, j->how.normalize ? ", normalized" : "",
	        *j->prompt ? ", with a prompt" : "", (long long)t->tokens, time, (double)t->tokens / j->seconds);
}

/* --- the whole --- */

static int embed(struct job *j, const char *path, bool normalize_given, struct err *e)
{
	if (model_compute(j->app, &j->l.model, j->o->compute, PREPARE_SCORE, e) < 0 ||
	    model_tokenizer_whole(&j->l.model, e) < 0 ||
	    settle(j, normalize_given, e) < 0 || text_rows_read(&j->texts, path, j->o->limit, e) < 0)
		return -1;
	metering_in("data", path, j->texts.rows.hash[0] ? j->texts.rows.hash : NULL);
	if (text_rows_encode(&j->texts, encode, j, e) < 0 ||
	    (!j->app->plans && io_writer_open(&j->file, j->o->out, e) < 0) || compute(j, e) < 0 || write_all(j, e) < 0)
		return -1;
	report(j);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct embed *o = options;
	struct job j = { .app = app, .o = o, .text = BUF_INIT };

	app_catch_signals();
	if (!o->out || !(text_stem(o->out, ".jsonl") || text_stem(o->out, ".npy")))
		return app_usage(&cmd_embed, "--out FILE.jsonl or FILE.npy was wanted");
	if (o->prompt && o->prompt_name)
		return app_usage(&cmd_embed, "--prompt and --prompt-name say the same");
	if (loaded_open(&j.l, p->positional[0], o->adapter, e) < 0)
		return -1;
	int status = embed(&j, p->positional[1], opt_given(p, "normalize"), e);
	io_writer_abort(&j.file); /* harmless after the commit, and where none was opened */
	embedder_free(j.embedder);
	mem_free(j.vectors);
	text_rows_release(&j.texts);
	buf_release(&j.text);
	embed_settings_release(&j.how);
	loaded_close(&j.l);
	return status;
}

const struct command cmd_embed = {
	.name = "embed",
	.summary = "a vector for each text of a file, as sentence-transformers makes them",
	.usage = "MODEL FILE --out F.jsonl|F.npy [--pooling P] [--normalize]",
	.example = "kungfu embed minilm texts.txt --out v.npy",
	.brief = "texts as vectors",
	.plans = true,
	.order = 35,
	.opts = embed_opts,
	.options_size = sizeof(struct embed),
	.least = 2, .most = 2, .wanted = "a model and a file (or - for standard input) were wanted",
	.run = run,
};
