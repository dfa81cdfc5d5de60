/* prepare: from files of text to a tokenizer and token shards, in the run's folder. Shards and a tokenizer that are
 * given are used as they are, shards with the tokenizer beside them where none is named.
 *
 *     PREPARED/tokenizer/   trained on the texts: byte-level BPE (--vocab-size), WordPiece where tokens are hidden, or
 *                           their characters
 *     PREPARED/shards/      cleaned, without copies, tokenized, a part held out (corpus/build.h)
 *
 * Both are a function of the texts and the options, so what a killed process left is made again, the same bytes. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "cmd/data/corpus_view.h"
#include "cmd/metering.h"
#include "cmd/pretrain/pretrain.h"
#include "corpus/build.h"
#include "model/new_tokens.h"
#include "token/train.h"
#include "train/laws.h"

enum { VOCABULARY_LEAST = 1024, VOCABULARY_MOST = 65536, TEXT_TOKEN_BYTES = 4 };

struct preparing {
	struct app *app;
	struct pretrain *o;
	struct arena *mem;
	const char *in;                /* PREPARED */
	struct corpus_options options;
	struct corpus_source sources[2];
	size_t n_sources;
	struct input_list files;
	json_t *report;                /* of the shards as they were built last */
	double began;
};

/* --- the texts --- */

static int list_source(struct preparing *p, const char *path, double weight, double epochs, struct err *e)
{
	const char *name = corpus_source_name(p->mem, path);

	if (p->n_sources && !strcmp(name, p->sources[0].name))
		name = "replay";
	p->sources[p->n_sources] = (struct corpus_source){ name, weight, epochs };
	return input_list_add(&p->files, path, io_basename(path), p->n_sources++, e);
}

/* With --replay the data come once a pass, and so much of what is replayed that it is that share of all. */
static int list_sources(struct preparing *p, struct err *e)
{
	const struct recipe *r = &p->o->recipe;
	bool mixed = r->replay != NULL;

	if (list_source(p, r->data, mixed ? 1 - r->replay_ratio : NAN, mixed ? 1 : NAN, e) < 0)
		return -1;
	return mixed ? list_source(p, r->replay, r->replay_ratio, NAN, e) : 0;
}

/* All texts as they will be tokenized, one after the other, for a tokenizer's training. */
struct reading {
	struct preparing *p;
	size_t file;
	struct input *input;
	struct buf text;
};

static int next_file(struct reading *r, struct err *e)
{
	enum input_kind kind;

	while (!r->input && r->file < r->p->files.n)
		if (input_open(&r->input, &r->p->files.items[r->file++], &r->p->options.input, &kind, e) < 0)
			return -1;
	return r->input != NULL;
}

static void close_file(struct reading *r)
{
	char hex[33];

	if (r->input)
		input_close(r->input, hex);
	r->input = NULL;
}

static int next_text(void *ctx, const char **text, size_t *n, struct err *e)
{
	struct reading *r = ctx;
	struct clean_counts ignored = { 0 };
	struct input_text t;

	if (stop_look(e, "texts were read") < 0)
		return -1;
	for (;;) {
		int there, more = next_file(r, e);
		if (more <= 0)
			return more;
		there = input_next(r->input, &t, e);
		if (there < 0)
			return -1;
		if (!there)
			close_file(r);
		else if (clean_text(&r->p->options.clean, t.data, t.n, t.row, &r->text, &ignored) == CLEAN_TEXT)
			break;
	}
	*text = r->text.data;
	*n = r->text.len;
	return 1;
}

/* --- the tokenizer --- */

/* What the text is enough for, at so many bytes a token. */
static int64_t vocabulary(const struct preparing *p)
{
	double tokens = (double)p->files.bytes / TEXT_TOKEN_BYTES, n = fmax(law_size_of_text(tokens), 1e5),
	       width = 64 * cbrt(n / 49152);

	if (p->o->vocab_size)
		return p->o->vocab_size;
	return MAX(MIN(law_vocabulary(6 * n * LAW_EPOCHS * tokens, (int)width), (int64_t)VOCABULARY_MOST),
	           (int64_t)VOCABULARY_LEAST);
}

static void show_training(void *ctx, const char *what, uint64_t done, uint64_t all)
{
	const struct preparing *p = ctx;

	metering_tick();
	if (all && clock_seconds() - p->began > 2)
		log_live("the tokenizer: %s, %.0f %%", what, 100.0 * (double)done / (double)all);
}

static struct tokenizer *train_tokenizer(struct preparing *p, struct token_texts *texts, struct err *e)
{
	bool masked = objective_find(p->o->recipe.objective)->masked;
	struct token_training t = { .vocab_size = (size_t)vocabulary(p),
		                    .end_of_text = masked ? NULL : TRAIN_END_OF_TEXT,
		                    .memory = p->o->recipe.memory / 2, .scratch = p->in, .pool = p->app->pool,
		                    .progress = show_training, .progress_ctx = p };

	return masked ? token_train_bert(&t, texts, NULL, e) : token_train_bytes(&t, texts, NULL, e);
}

/* With --new-tokens, behind all that it has; t is taken. */
static struct tokenizer *with_new(const struct preparing *p, struct tokenizer *t, const char *where, struct err *e)
{
	const char *asked = p->o->recipe.new_tokens;
	struct tokenizer *more;

	if (!t || !asked)
		return t;
	more = new_tokens_tokenizer(t, asked, where, e);
	tokenizer_free(t);
	return more;
}

/* Into PREPARED/tokenizer, which the recipe names then. */
static int keep_tokenizer(struct preparing *p, const struct tokenizer *t, struct err *e)
{
	char *dir = io_join(p->in, "tokenizer");
	int status = io_mkdirs(dir, e) < 0 || tokenizer_save(t, dir, e) < 0 ? -1 : 0;

	p->o->recipe.tokenizer = arena_strdup(p->mem, dir);
	p->o->recipe.new_tokens = NULL; /* it has them */
	mem_free(dir);
	return status;
}

static int make_tokenizer(struct preparing *p, struct err *e)
{
	struct reading reading = { .p = p };
	struct token_texts texts = { next_text, &reading, p->files.bytes };
	const char *kind = p->o->recipe.tokenizer;
	struct tokenizer *t = kind ? characters_tokenizer(&texts, e) : train_tokenizer(p, &texts, e);

	t = with_new(p, t, "the tokenizer", e);
	int status = t ? keep_tokenizer(p, t, e) : -1;
	log_live_end();
	if (!status)
		log_say("the tokenizer: %zu %s, made of %s", tokenizer_size(t), kind ? "characters" : "tokens",
		        p->o->recipe.data);
	close_file(&reading);
	buf_release(&reading.text);
	tokenizer_free(t);
	return status;
}

static bool is_trained(const struct pretrain *o)
{
	const char *t = o->recipe.tokenizer;

	return !o->recipe.model && (!t || !strcmp(t, "chars"));
}

/* --- the shards --- */

static void show_building(void *ctx, const struct corpus_progress *x)
{
	const struct preparing *p = ctx;
	char tokens[32];

	metering_tick();
	if (clock_seconds() - p->began > 2)
		log_live("the text: %s tokens, %.0f %%", human_count((double)x->tokens, tokens),
		         x->bytes_of ? 100.0 * (double)x->bytes_read / (double)x->bytes_of : 0);
}

static bool is_over(void *ctx)
{
	(void)ctx;
	return metering_over();
}

/* How far what is held out is from the share that was asked for, as a factor's logarithm; infinite: nothing is. */
static int missed(const char *dir, double ratio, double *by, struct err *e)
{
	struct shards s;

	if (shards_open(&s, dir, e) < 0)
		return -1;
	double held = (double)shards_total(&s, SHARDS_VALID).tokens,
	       all = held + (double)shards_total(&s, SHARDS_TRAIN).tokens;
	*by = held > 0 ? fabs(log(held / all / ratio)) : INFINITY;
	shards_close(&s);
	return 0;
}

static int build(struct preparing *p, const struct tokenizer *t, enum corpus_valid by, double *off, struct err *e)
{
	struct corpus c = { .options = &p->options, .sources = p->sources, .n_sources = p->n_sources,
		            .files = &p->files, .tokenizer = t, .pool = p->app->pool, .progress = show_building,
		            .ctx = p, .over = is_over };

	p->options.valid = by;
	json_decref(p->report);
	p->report = NULL;
	int status = corpus_build(&c, p->o->recipe.data, &p->report, e);
	log_live_end();
	return status || p->options.valid_ratio <= 0 ? status :
	                                               missed(p->o->recipe.data, p->options.valid_ratio, off, e);
}

/* Documents are held out by their hash, which of a few long ones takes none, or half of the text: then the end of each
 * is, where that is nearer to the share. So it depends on the texts alone. */
static int build_auto(struct preparing *p, const struct tokenizer *t, struct err *e)
{
	const double enough = log(2);
	double documents = 0, ends = 0;
	int status = build(p, t, CORPUS_VALID_DOCUMENT, &documents, e);

	if (status || documents <= enough)
		return status;
	if ((status = build(p, t, CORPUS_VALID_END, &ends, e)) == 0 && ends >= documents)
		return build(p, t, CORPUS_VALID_DOCUMENT, &documents, e);
	if (!status)
		log_say("the end of each document is held out: they are too few for a share of them");
	return status;
}

/* What was no text, what was changed, what went: as data build says it, the examples of it are in report.json. */
static void say_report(const json_t *report)
{
	struct buf out = BUF_INIT;

	corpus_view_report(&out, report, 0);
	for (char *line = out.data, *end; line && *line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (end)
			*end = 0;
		log_say("%s%s", line == out.data ? "the text:" : "", line + (line == out.data));
	}
	buf_release(&out);
}

static int make_shards(struct preparing *p, struct err *e)
{
	struct recipe *r = &p->o->recipe;
	const char *named = r->model ? r->model : r->tokenizer;
	struct tokenizer *t = with_new(p, tokenizer_open(named, e), named, e);
	char *dir = io_join(p->in, "shards");
	double off;
	int status = -1;

	/* of --from the run gives them to the model, whose tokenizer is this one then */
	if (t && r->new_tokens && !r->model && keep_tokenizer(p, t, e) < 0) {
		tokenizer_free(t);
		t = NULL;
	}
	r->data = arena_strdup(p->mem, dir);
	p->options.end_of_text = t ? corpus_end_of_text(t, NULL, e) : -1;
	if (p->options.end_of_text >= 0)
		status = !strcmp(p->o->valid_by, "auto") ? build_auto(p, t, e) :
		         build(p, t, strcmp(p->o->valid_by, "end") ? CORPUS_VALID_DOCUMENT : CORPUS_VALID_END, &off, e);
	if (!status)
		say_report(p->report);
	json_decref(p->report);
	tokenizer_free(t);
	mem_free(dir);
	return status;
}

static struct corpus_options options_of(const struct pretrain *o)
{
	struct corpus_options c = corpus_defaults();

	c.valid_ratio = o->valid_ratio;
	c.dedup = !strcmp(o->dedup, "none") ? CORPUS_DEDUP_NONE : !strcmp(o->dedup, "exact") ? CORPUS_DEDUP_EXACT :
		CORPUS_DEDUP_MINHASH;
	c.filters = o->filters;
	c.seed = (uint64_t)o->recipe.seed;
	return c;
}

static int prepare_texts(struct preparing *p, struct err *e)
{
	if (list_sources(p, e) < 0 || io_mkdirs(p->in, e) < 0)
		return -1;
	if (is_trained(p->o) && make_tokenizer(p, e) < 0)
		return -1;
	return make_shards(p, e);
}

/* Shards have their tokenizer beside them, or it is named. */
static int take_shards(struct pretrain *o, struct err *e)
{
	struct recipe *r = &o->recipe;

	if (r->new_tokens)
		return err_set(e, "%s: token shards have the tokens that they have; --new-tokens is of texts", r->data);
	if (!is_trained(o))
		return 0;
	char *beside = r->tokenizer ? NULL : shards_tokenizer_beside(r->data);
	if (!beside)
		return err_set(e, "%s: token shards need the tokenizer that made them: --tokenizer PATH", r->data);
	r->tokenizer = arena_strdup(&o->mem, beside);
	mem_free(beside);
	return 0;
}

int pretrain_prepare(struct app *app, struct pretrain *o, const char *in, struct err *e)
{
	struct recipe *r = &o->recipe;
	char *dir = io_join(in, PREPARED);
	struct preparing p = { .app = app, .o = o, .mem = &o->mem, .in = dir, .options = options_of(o),
		               .began = clock_seconds() };
	int status = shards_are(r->data) ? take_shards(o, e) : prepare_texts(&p, e);
	input_list_release(&p.files);
	mem_free(dir);
	return status;
}
