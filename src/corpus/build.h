/* build: files of text to token shards (corpus/shards.h), in one pass, in the memory of a batch of texts and of what is
 * known of those that were kept.
 *
 *     files → texts → | cleaned, language, rules, hashed | → twice? held out? → | tokens | → written
 *                       on all threads                       in order             all      in order
 *
 * What is decided in order looks only at texts before, so the shards are the same bytes for the same files and options
 * whatever the threads. Of copies the first stays. Memory: a batch (8 MiB of text or one longer text, and what is made
 * of it), and 38 to 68 bytes a kept document for exact copies, 2 bytes a permutation and 12 to 24 a band for near ones.
 *
 * A build that is killed is gone on with by the next of the same options and files: every save_bytes of text all that
 * is done is on the disk, in DIR.kungfu-part (corpus/shards.h), with the hashes of what was kept and how far the files
 * were read. The file that was being read is read again up to there, and nothing is done with that. The bytes are those
 * of a build in one piece.
 *
 * Beside the shards lie report.json (what was read, changed, left out, and examples of it) and files.jsonl (a line a
 * file: what came of it). */
#ifndef CORPUS_BUILD_H
#define CORPUS_BUILD_H

#include <jansson.h>

#include "base/pool.h"
#include "corpus/clean.h"
#include "corpus/input.h"
#include "token/tokenizer.h"

enum corpus_dedup { CORPUS_DEDUP_NONE, CORPUS_DEDUP_EXACT, CORPUS_DEDUP_MINHASH };
enum corpus_valid { CORPUS_VALID_DOCUMENT, CORPUS_VALID_END };

struct corpus_options {
	struct input_options input;             /* as a rule { "<|endoftext|>", 16 MiB } */
	struct clean_options clean;
	const char *filters;                    /* rules_parse, or NULL */
	const char *language;                   /* "en,de": what stays, or NULL: all */
	enum corpus_dedup dedup;
	int permutations, ngram;                /* of MinHash */
	double threshold;
	const char *const *decontaminate;       /* evaluations: files or folders */
	size_t n_decontaminate;
	int decontaminate_ngram;
	double decontaminate_ratio;
	/* What is held out: documents, by their hash and the seed, or the end of each, at a line's end. */
	double valid_ratio;
	enum corpus_valid valid;
	uint64_t seed;
	int32_t end_of_text;                    /* corpus_end_of_text */
	uint64_t file_tokens;                   /* 0: as shards have it */
	uint64_t save_bytes;                    /* of text, from one save to the next; 0: none is made */
	size_t examples;                        /* of each thing that is left out, in the report */
};
/* What `kungfu data build` does when nothing is said. */
struct corpus_options corpus_defaults(void);

struct corpus_source { const char *name; double weight, epochs; };     /* NAN: not said */

struct corpus_progress {
	uint64_t bytes_read, bytes_of;          /* of the files as they lie on the disk */
	uint64_t text, documents, kept, tokens; /* bytes of text after inflating; documents */
	const char *file;
};

struct corpus {
	const struct corpus_options *options;
	const struct corpus_source *sources;
	size_t n_sources;
	const struct input_list *files;         /* with their sources' numbers */
	const struct tokenizer *tokenizer;
	struct pool *pool;
	void (*progress)(void *ctx, const struct corpus_progress *p);   /* after each batch; or NULL */
	void *ctx;
	bool (*over)(void *ctx);                /* between batches: stop, as at a signal; or NULL */
};

/* The id that ends documents: that of the text, or where it is NULL the tokenizer's own end of sequence, else
 * <|endoftext|>, </s> or [SEP]. −1 and a sentence. */
int32_t corpus_end_of_text(const struct tokenizer *t, const char *text, struct err *e);
/* Writes the shards into dir, which appears when they are whole. *report: what report.json has, new. Refused: nothing
 * that is a text, or nothing that is kept. */
int corpus_build(const struct corpus *c, const char *dir, json_t **report, struct err *e);
/* What building would take, by doing it to the first texts, at least `most` bytes of them: *p is what came of these,
 * and nothing is written. */
int corpus_try(const struct corpus *c, uint64_t most, struct corpus_progress *p, struct err *e);
/* A name of a source made of a file's or folder's: what it may not have becomes '-'; in mem. */
const char *corpus_source_name(struct arena *mem, const char *path);

#endif
