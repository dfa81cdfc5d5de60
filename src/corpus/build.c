/* build: see build.h. A batch is filled from the files, one after another, and goes through four stages; texts are
 * independent of each other in the first and the third, which all threads share, and in order in the others. */
#include "corpus/build.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/unicode.h"
#include "corpus/build_parts.h"
#include "corpus/language.h"
#include "corpus/minhash.h"

enum { BATCH_TEXTS = 2048, LINE_EXAMPLES = 4 };
static const size_t BATCH_BYTES = (size_t)8 << 20, MOST_BYTES = (size_t)16 << 20, SAVE_BYTES = (size_t)64 << 20;

#define KEPT "kept"
#define SIGNATURES "signatures"

struct line_event {
	size_t rule;
	char *text;
};

/* A text on its way. */
struct item {
	uint32_t file;
	uint64_t line;
	size_t from, n; /* in the batch's bytes */
	bool row;
	struct buf text;
	struct clean_counts cleaned;
	int out; /* enum build_reason, or BUILD_RULES + a rule */
	double value;
	const char *language;
	uint64_t key[2];
	uint16_t *signature; /* NULL: it has no words */
	struct decontaminate_hit hit;
	uint64_t lines[RULES_MOST], line_bytes[RULES_MOST];
	struct line_event events[LINE_EXAMPLES];
	size_t n_events;
	enum shards_split split;
	size_t cut; /* bytes that are trained on; what is behind is held out */
	struct tokens ids[SHARDS_SPLITS];
	struct err error;
};

struct scratch {
	struct facts facts;
	struct shingles shingles;
};

struct build {
	const struct corpus *c;
	struct rules_on rules;
	struct decontaminate evaluations;
	struct minhash minhash;
	struct near *near;
	struct exact exact;
	struct build_place *places; /* of what was kept, by its number in both */
	size_t n_places, cap_places;
	struct build_log log;
	struct shards_writer *writer;
	struct buf bytes;
	struct item *items; /* [BATCH_TEXTS] */
	size_t n;
	struct scratch *scratch; /* a thread each */
	int32_t unknown;
	struct build_at where;
	uint64_t saved_text;    /* bytes that were read at the last save */
	bool saved;             /* something was */
	uint64_t most; /* bytes of text after which no more are read; 0: all are */
};

struct corpus_options corpus_defaults(void)
{
	return (struct corpus_options){
		.input = { "<|endoftext|>", MOST_BYTES },
		.clean = { .text_column = "text" },
		.dedup = CORPUS_DEDUP_MINHASH,
		.permutations = 128,
		.ngram = 5,
		.threshold = 0.7,
		.decontaminate_ngram = 13,
		.valid_ratio = 0.01,
		.save_bytes = SAVE_BYTES,
		.examples = 5,
	};
}

const char *corpus_source_name(struct arena *mem, const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	char *plain = arena_strndup(mem, path, n), *name = arena_strdup(mem, io_basename(plain));

	if (strlen(name) > SHARDS_NAME)
		name[SHARDS_NAME] = 0;
	for (char *at = name; *at; at++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *at))
			*at = '-';
	if (!*name || *name == '.')
		return "text";
	return name;
}

int32_t corpus_end_of_text(const struct tokenizer *t, const char *text, struct err *e)
{
	static const char *const known[] = { "<|endoftext|>", "</s>", "[SEP]" };
	int32_t id = text ? tokenizer_find(t, text, strlen(text)) : tokenizer_eos(t);

	if (text && id < 0)
		return err_set(e, "the tokenizer has no token '%.80s'", text);
	for (size_t i = 0; i < ARRAY_LEN(known) && id < 0; i++)
		id = tokenizer_find(t, known[i], strlen(known[i]));
	if (id < 0)
		return err_set(e,
		               "the tokenizer has no token that ends a text (none of its own, no <|endoftext|>, </s>, "
		               "[SEP]): --end-of-text names one");
	return id;
}

/* --- the first stage: a text by itself --- */

static void take_line(void *ctx, size_t rule, struct text_span line)
{
	struct item *x = ctx;

	x->lines[rule]++;
	x->line_bytes[rule] += line.n;
	for (size_t i = 0; i < x->n_events; i++)
		if (x->events[i].rule == rule)
			return;
	if (x->n_events < LINE_EXAMPLES)
		x->events[x->n_events++] = (struct line_event){ rule, mem_strndup(line.s, line.n) };
}

/* Is the code one of the list's? */
static bool is_listed(const char *list, const char *code)
{
	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == strlen(code) && !strncmp(at, code, strlen(code)))
			return true;
	return false;
}

static int judge(const struct build *b, struct item *x, struct scratch *s)
{
	const struct corpus_options *o = b->c->options;

	if (o->language) {
		facts_make(&s->facts, buf_str(&x->text), x->text.len);
		x->language = language_guess(&s->facts);
		if (!is_listed(o->language, x->language))
			return BUILD_LANGUAGE;
	}
	int rule = rules_judge(&b->rules, &x->text, &s->facts, &x->value, take_line, x);
	if (rule >= 0)
		return BUILD_RULES + rule;
	const char *at = buf_str(&x->text);
	size_t n = x->text.len;
	unicode_strip(&at, &n);
	hash_128(at, n, x->key);
	if (b->near || b->evaluations.n_files)
		shingles_make(&s->shingles, at, n);
	if (b->evaluations.n_files && decontaminate_find(&b->evaluations, &s->shingles, &x->hit)) {
		x->value = x->hit.share;
		return BUILD_CONTAMINATED;
	}
	if (b->near && s->shingles.n) {
		x->signature = mem_array((size_t)b->minhash.permutations, sizeof(*x->signature));
		minhash_signature(&b->minhash, &s->shingles, x->signature);
	}
	return BUILD_KEPT;
}

static void look_at(void *ctx, size_t i, int thread)
{
	static const int of_verdict[] = { [CLEAN_TEXT] = BUILD_KEPT,
		                          [CLEAN_EMPTY] = BUILD_EMPTY,
		                          [CLEAN_BROKEN_ROW] = BUILD_BROKEN_ROW,
		                          [CLEAN_NO_COLUMN] = BUILD_NO_COLUMN,
		                          [CLEAN_BAD_BYTES] = BUILD_BAD_BYTES };
	const struct build *b = ctx;
	struct item *x = &b->items[i];
	enum clean_verdict v =
		clean_text(&b->c->options->clean, buf_str(&b->bytes) + x->from, x->n, x->row, &x->text, &x->cleaned);

	x->value = NAN;
	x->out = of_verdict[v];
	if (v == CLEAN_TEXT)
		x->out = judge(b, x, &b->scratch[thread]);
}

/* --- the second: what was there before, what is held out --- */

static char *place_name(const struct build *b, int64_t number)
{
	const struct build_place *p = &b->places[number];
	return mem_printf("%s:%u", b->c->files->items[p->file].name, p->line);
}

static void leave_out(struct build *b, struct item *x, size_t reason, double value, const char *what)
{
	const char *text = x->text.len ? buf_str(&x->text) : buf_str(&b->bytes) + x->from;
	size_t n = x->text.len ? x->text.len : x->n;

	x->out = (int)reason;
	build_log_out(&b->log, reason, x->file, x->line, text, n, value, what);
}

/* A copy of one that is kept? */
static bool is_copy(struct build *b, struct item *x)
{
	double similarity = NAN;
	int64_t of = b->c->options->dedup == CORPUS_DEDUP_NONE ? -1 : exact_find(&b->exact, x->key);
	bool exact = of >= 0;

	if (of < 0 && b->near && x->signature)
		of = near_find(b->near, x->signature, &similarity);
	if (of < 0)
		return false;
	char *place = place_name(b, of);
	leave_out(b, x, exact ? BUILD_EXACT : BUILD_NEAR, similarity, place);
	mem_free(place);
	return true;
}

/* Of a kept text what the next process is to know. */
struct noted { uint64_t key[2]; uint32_t file, line, has_signature, unused; };

static size_t signature_bytes(const struct build *b)
{
	return (size_t)b->minhash.permutations * sizeof(uint16_t);
}

/* Both stores know it by its place. */
static void add_kept(struct build *b, const struct noted *n, const uint16_t *signature)
{
	if (b->n_places == b->cap_places) {
		b->cap_places = MAX(1024, b->cap_places + b->cap_places / 2);
		b->places = mem_grow(b->places, b->cap_places, sizeof(*b->places));
	}
	b->places[b->n_places] = (struct build_place){ n->file, n->line };
	exact_add(&b->exact, n->key, (uint32_t)b->n_places);
	if (n->has_signature)
		near_add(b->near, signature, (uint32_t)b->n_places);
	b->n_places++;
}

static int remember(struct build *b, const struct item *x, struct err *e)
{
	struct noted n = { { x->key[0], x->key[1] }, x->file, (uint32_t)MIN(x->line, (uint64_t)UINT32_MAX),
		           b->near && x->signature, 0 };

	if (b->c->options->dedup == CORPUS_DEDUP_NONE)
		return 0;
	add_kept(b, &n, x->signature);
	if (!b->writer || !b->c->options->save_bytes)
		return 0;
	if (shards_writer_note(b->writer, KEPT, &n, sizeof(n), e) < 0)
		return -1;
	return n.has_signature ? shards_writer_note(b->writer, SIGNATURES, x->signature, signature_bytes(b), e) : 0;
}

/* Where the end of a text begins that is held out: behind a line's end, else a space; n: nowhere. */
static size_t end_of(const struct buf *text, double ratio)
{
	size_t n = text->len, want = n - (size_t)floor((double)n * ratio);
	const char *s = buf_str(text), *newline = memchr(s + want, '\n', n - want);
	const char *space = memchr(s + want, ' ', n - want);

	if (newline && (size_t)(newline - s) + 1 < n)
		return (size_t)(newline - s) + 1;
	return space && (size_t)(space - s) + 1 < n ? (size_t)(space - s) + 1 : n;
}

static void hold_out(const struct build *b, struct item *x)
{
	const struct corpus_options *o = b->c->options;
	const uint64_t words[] = { x->key[0], x->key[1], o->seed };

	x->cut = x->text.len;
	if (o->valid == CORPUS_VALID_END && o->valid_ratio > 0)
		x->cut = end_of(&x->text, o->valid_ratio);
	else if ((double)hash_64(words, sizeof(words)) < o->valid_ratio * 0x1p64)
		x->split = SHARDS_VALID;
}

static int sort_out(struct build *b, struct item *x, struct err *e)
{
	struct build_log *l = &b->log;
	char *what = NULL;
	int status = 0;

	clean_counts_add(&l->cleaned, &x->cleaned);
	for (size_t r = 0; r < RULES_MOST; r++)
		if (x->lines[r])
			build_log_lines(l, r, x->lines[r], x->line_bytes[r]);
	for (size_t k = 0; k < x->n_events; k++)
		build_log_line(l, x->events[k].rule, x->file, x->line, x->events[k].text);
	if (l->languages && x->language) {
		const json_t *n = json_object_get(l->languages, x->language);
		json_object_set_new(l->languages, x->language, json_integer(json_integer_value(n) + 1));
	}
	if (x->out == BUILD_CONTAMINATED) {
		const struct contaminant *c = &b->evaluations.texts[x->hit.text];
		what = mem_printf("%s:%llu", b->evaluations.files[c->file], (unsigned long long)c->line);
	}
	if (x->out != BUILD_KEPT)
		leave_out(b, x, (size_t)x->out, x->value, what ? what : x->out == BUILD_LANGUAGE ? x->language : NULL);
	else if (!is_copy(b, x)) {
		status = remember(b, x, e);
		hold_out(b, x);
	}
	mem_free(what);
	return status;
}

/* --- the third and the fourth: tokens, written --- */

static void encode(void *ctx, size_t i, int thread)
{
	const struct build *b = ctx;
	struct item *x = &b->items[i];
	const char *s = buf_str(&x->text);
	(void)thread;

	if (x->out != BUILD_KEPT)
		return;
	for (int part = 0; part < 2; part++) {
		size_t from = part ? x->cut : 0, to = part ? x->text.len : x->cut;
		struct tokens *ids = &x->ids[part ? SHARDS_VALID : x->split];
		if (from == to)
			continue;
		tokenizer_begin(b->c->tokenizer, ids);
		if (tokenizer_encode(b->c->tokenizer, s + from, to - from, 0, ids, &x->error) < 0)
			return;
	}
}

static int put(struct build *b, struct item *x, struct err *e)
{
	size_t source = b->c->files->items[x->file].source;

	if (x->out != BUILD_KEPT)
		return 0;
	if (x->error.msg[0])
		return err_set(e, "%s:%llu: %s", b->c->files->items[x->file].name, (unsigned long long)x->line,
		               x->error.msg);
	for (int split = 0; split < SHARDS_SPLITS; split++) {
		const struct tokens *ids = &x->ids[split];
		size_t end = x->text.len - x->cut, bytes = end && split == SHARDS_VALID ? end : x->cut;
		if (!ids->n)
			continue;
		if (b->writer && shards_writer_add(b->writer, source, split, ids->id, ids->n, bytes, e) < 0)
			return -1;
		for (size_t i = 0; i < ids->n; i++)
			b->log.unknown += ids->id[i] == b->unknown;
		b->log.of[source][split].documents++;
		b->log.of[source][split].tokens += ids->n + 1;
		b->log.of[source][split].bytes += bytes;
		b->where.progress.tokens += ids->n + 1;
	}
	if (!x->ids[SHARDS_TRAIN].n && !x->ids[SHARDS_VALID].n) { /* all of it is nothing to the tokenizer */
		leave_out(b, x, BUILD_EMPTY, NAN, NULL);
		return 0;
	}
	b->log.files[x->file].kept++;
	b->log.kept++;
	b->where.progress.kept++;
	return 0;
}

/* --- batches --- */

static void clear_batch(struct build *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct item *x = &b->items[i];
		for (size_t k = 0; k < x->n_events; k++)
			mem_free(x->events[k].text);
		for (int split = 0; split < SHARDS_SPLITS; split++)
			tokens_release(&x->ids[split]);
		buf_release(&x->text);
		mem_free(x->signature);
	}
	b->n = 0;
	buf_clear(&b->bytes);
}

static int run_batch(struct build *b, struct err *e)
{
	bool whole = pool_try(b->c->pool, b->n, look_at, b);
	int status = 0;

	for (size_t i = 0; i < b->n && whole && !status; i++)
		status = sort_out(b, &b->items[i], e);
	whole = whole && !status && pool_try(b->c->pool, b->n, encode, b);
	for (size_t i = 0; i < b->n && whole && !status; i++)
		status = put(b, &b->items[i], e);
	clear_batch(b);
	if (!whole && !status)
		return stop_look(e, "shards were built");
	if (!status && b->c->progress)
		b->c->progress(b->c->ctx, &b->where.progress);
	return status;
}

static bool is_over(const struct build *b) { return b->c->over && b->c->over(b->c->ctx); }

static int save(struct build *b, struct err *e)
{
	char identity[33];

	build_identity(&b->log, &b->evaluations, identity);
	json_t *j = build_save(&b->log, &b->where);
	json_object_set_new(j, "identity", json_string(identity));
	b->saved_text = b->where.progress.text;
	b->saved = true;
	return shards_writer_save(b->writer, j, e);
}

/* Between two batches. */
static int look_around(struct build *b, struct err *e)
{
	uint64_t every = b->c->options->save_bytes, text = b->where.progress.text;
	bool over = is_over(b);

	if (b->writer && every && (over || text - b->saved_text >= every) && save(b, e) < 0)
		return -1;
	if (over)
		return err_set(e, "interrupted after %llu documents", (unsigned long long)b->where.progress.documents);
	return stop_look(e, "shards were built");
}

static int take(struct build *b, size_t file, const struct input_text *t, struct err *e)
{
	if (b->n_places + b->n >= UINT32_MAX - 1 && b->c->options->dedup != CORPUS_DEDUP_NONE)
		return err_set(e, "copies are known among 2^32 documents at most: --dedup none, or several builds");
	struct item *x = &b->items[b->n++];
	*x = (struct item){ .file = (uint32_t)file, .line = t->line, .from = b->bytes.len, .n = t->n, .row = t->row };
	buf_add(&b->bytes, t->data, t->n);
	b->log.documents++;
	b->log.bytes += t->n;
	b->log.cut += t->cut;
	b->log.files[file].documents++;
	b->where.progress.documents++;
	b->where.progress.text += t->n;
	if (b->n < BATCH_TEXTS && b->bytes.len < BATCH_BYTES)
		return 0;
	return run_batch(b, e) < 0 ? -1 : look_around(b, e);
}

static bool has_enough(const struct build *b) { return b->most && b->where.progress.text >= b->most; }

/* Texts that are done. */
static int pass_over(struct input *x, uint64_t n, const char *name, struct err *e)
{
	struct input_text text;
	int status = 1;

	for (uint64_t k = 0; k < n && status > 0; k++)
		status = input_next(x, &text, e);
	return status ? MIN(status, 0) : err_set(e, "%s was changed: it has fewer texts than before", name);
}

static int read_file(struct build *b, size_t i, struct err *e)
{
	const struct input_file *f = &b->c->files->items[i];
	struct build_file *log = &b->log.files[i];
	struct input_text text;
	struct input *x;
	int status;

	b->where.file = i;
	b->where.progress.file = f->name;
	if (input_open(&x, f, &b->c->options->input, &log->kind, e) < 0)
		return -1;
	if (x && pass_over(x, log->documents, f->name, e) < 0) {
		input_close(x, log->hash);
		return -1;
	}
	b->log.left_out += !x;
	while (x && !has_enough(b) && (status = input_next(x, &text, e)) != 0) {
		b->where.progress.bytes_read = b->where.before + input_at(x);
		if (status < 0 || take(b, i, &text, e) < 0) {
			input_close(x, log->hash);
			return -1;
		}
	}
	if (!has_enough(b))
		b->where.progress.bytes_read = b->where.before += f->size;
	if (!x)
		return 0;
	log->damaged = input_damaged(x);
	log->bytes = input_bytes(x);
	b->log.damaged += log->damaged;
	input_close(x, log->hash);
	return 0;
}

/* --- the whole --- */

static int prepare(struct build *b, struct err *e)
{
	const struct corpus *c = b->c;
	const struct corpus_options *o = c->options;

	if (rules_parse(o->filters, &b->rules, e) < 0)
		return -1;
	decontaminate_begin(&b->evaluations, o->decontaminate_ngram, o->decontaminate_ratio);
	for (size_t i = 0; i < o->n_decontaminate; i++)
		if (decontaminate_add(&b->evaluations, o->decontaminate[i], e) < 0)
			return -1;
	if (o->dedup == CORPUS_DEDUP_MINHASH) {
		minhash_init(&b->minhash, o->permutations, o->ngram, o->threshold);
		b->near = near_new(&b->minhash);
	}
	b->unknown = tokenizer_find(c->tokenizer, "<unk>", 5);
	if (b->unknown < 0)
		b->unknown = tokenizer_find(c->tokenizer, "[UNK]", 5);
	return 0;
}

/* --- going on --- */

static int take_kept(struct build *b, const struct mapping *kept, const struct mapping *signatures, struct err *e)
{
	const struct noted *n = (const void *)kept->data;
	size_t at = 0, each = signature_bytes(b);

	for (size_t i = 0; i < kept->size / sizeof(*n); i++) {
		const uint16_t *signature = (const void *)(signatures->data + at);
		at += n[i].has_signature ? each : 0;
		if (n[i].file >= b->c->files->n || at > signatures->size)
			return err_set(e, "what is known of text %zu is none", i);
		add_kept(b, &n[i], signature);
	}
	return stop_look(e, "what was kept was read");
}

static int read_notes(struct build *b, struct err *e)
{
	struct mapping kept, signatures = { 0 };

	if (shards_writer_noted(b->writer, KEPT, &kept, e) < 0)
		return -1;
	int status = shards_writer_noted(b->writer, SIGNATURES, &signatures, e);
	if (!status) {
		status = take_kept(b, &kept, &signatures, e);
		io_unmap(&signatures);
	}
	io_unmap(&kept);
	return status;
}

/* *went: what was saved before is there again. */
static int go_on(struct build *b, const char *dir, bool *went, struct err *e)
{
	const json_t *saved = shards_writer_saved(b->writer), *identity = json_object_get(saved, "identity");
	struct err why = ERR_INIT;
	char now[33];

	*went = false;
	if (!saved)
		return 0;
	build_identity(&b->log, &b->evaluations, now);
	if (!json_is_string(identity) || strcmp(json_string_value(identity), now) != 0) {
		log_say("what a killed build left at %s is of other files or options: it is begun anew", dir);
		return 0;
	}
	json_t *j = json_deep_copy(saved);
	if (shards_writer_resume(b->writer, &why) < 0) {
		json_decref(j);
		log_warn("what a killed build left at %s is begun anew: %s", dir, why.msg);
		return stop_look(e, "shards that were begun were read");
	}
	int status = build_restore(&b->log, &b->where, j, e) < 0 ? -1 : read_notes(b, e);
	json_decref(j);
	b->saved_text = b->where.progress.text;
	b->saved = *went = true;
	if (!status)
		log_say("goes on behind %llu documents that an earlier build has done",
		        (unsigned long long)b->where.progress.documents);
	return status;
}

static int open_writer(struct build *b, const char *dir, struct err *e)
{
	const struct corpus *c = b->c;
	char hash[33];
	const struct shards_facts facts = { .tokenizer = hash,
		                            .vocabulary = (uint32_t)tokenizer_size(c->tokenizer),
		                            .end_of_text = c->options->end_of_text,
		                            .file_tokens = c->options->file_tokens };
	bool went;

	shards_tokenizer_hash(c->tokenizer, hash);
	if (shards_writer_open(&b->writer, dir, &facts, e) < 0 || go_on(b, dir, &went, e) < 0)
		return -1;
	for (size_t i = 0; i < c->n_sources && !went; i++)
		if (shards_writer_source(b->writer, c->sources[i].name, c->sources[i].weight, c->sources[i].epochs, e) <
		    0)
			return -1;
	return 0;
}

static int put_json(struct build *b, json_t *built, const char *key, const char *name, const char *text, size_t n,
                    struct err *e)
{
	char hex[33];

	hash_hex(text, n, hex);
	json_object_set_new(built, key, json_pack("{s:s, s:s}", "file", name, "hash", hex));
	return shards_writer_file(b->writer, name, text, n, e);
}

static int finish(struct build *b, json_t **report, struct err *e)
{
	struct buf files = BUF_INIT;
	int status = build_log_check(&b->log, e);

	if (status < 0)
		return -1;
	json_t *built = build_log_built(&b->log);
	*report = build_log_report(&b->log, &b->evaluations);
	char *text = jsonx_line(*report);
	build_log_files(&b->log, &files);
	status = put_json(b, built, "report", "report.json", text, strlen(text), e) < 0 ||
	                         put_json(b, built, "files", "files.jsonl", buf_str(&files), files.len, e) < 0 ?
	                 -1 :
	                 shards_writer_tokenizer(b->writer, b->c->tokenizer, e);
	mem_free(text);
	buf_release(&files);
	if (status < 0) {
		json_decref(built);
		return -1;
	}
	struct shards_writer *w = b->writer;
	b->writer = NULL;
	return shards_writer_place(w, built, e);
}

static void release(struct build *b)
{
	clear_batch(b);
	for (int i = 0; i < pool_threads(b->c->pool); i++) {
		facts_release(&b->scratch[i].facts);
		shingles_release(&b->scratch[i].shingles);
	}
	shards_writer_abort(b->writer);
	decontaminate_release(&b->evaluations);
	near_free(b->near);
	exact_release(&b->exact);
	build_log_release(&b->log);
	buf_release(&b->bytes);
	mem_free(b->places);
	mem_free(b->items);
	mem_free(b->scratch);
	mem_free(b);
}

static struct build *begin(const struct corpus *c)
{
	struct build *b = mem_alloc(sizeof(*b));

	*b = (struct build){ .c = c, .where.progress.bytes_of = c->files->bytes };
	b->items = mem_array(BATCH_TEXTS, sizeof(*b->items));
	b->scratch = mem_array((size_t)pool_threads(c->pool), sizeof(*b->scratch));
	build_log_begin(&b->log, c);
	return b;
}

static int read_files(struct build *b, struct err *e)
{
	int status = 0;

	for (size_t i = b->where.file; i < b->c->files->n && !status && !has_enough(b); i++)
		status = read_file(b, i, e);
	if (!status && b->n)
		status = run_batch(b, e);
	return status ? status : stop_look(e, "shards were built");
}

int corpus_try(const struct corpus *c, uint64_t most, struct corpus_progress *p, struct err *e)
{
	struct corpus_options o = *c->options;
	struct corpus some = *c;

	some.options = &o;
	some.progress = NULL;
	some.over = NULL;
	o.input.most_bytes = MIN(o.input.most_bytes, (size_t)most);
	struct build *b = begin(&some);
	b->most = most;
	int status = prepare(b, e) < 0 ? -1 : read_files(b, e);
	*p = b->where.progress;
	release(b);
	return status;
}

int corpus_build(const struct corpus *c, const char *dir, json_t **report, struct err *e)
{
	struct build *b = begin(c);

	*report = NULL;
	int status = prepare(b, e) < 0 || open_writer(b, dir, e) < 0 ? -1 : read_files(b, e);
	if (status && b->writer && b->saved) {
		log_say("the same command goes on behind what was saved in %s.kungfu-part", dir);
		shards_writer_leave(b->writer);
		b->writer = NULL;
	}
	if (!status)
		status = finish(b, report, e);
	if (status < 0) {
		json_decref(*report);
		*report = NULL;
	}
	release(b);
	return status;
}
