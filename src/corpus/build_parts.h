/* build_parts: what building (build.c) and its record (build_report.c) share. */
#ifndef CORPUS_BUILD_PARTS_H
#define CORPUS_BUILD_PARTS_H

#include "corpus/build.h"
#include "corpus/decontaminate.h"
#include "corpus/rules.h"
#include "corpus/shards.h"

/* Why a document is left out; rules follow by their index. */
enum build_reason {
	BUILD_KEPT = -1,
	BUILD_EMPTY, BUILD_BROKEN_ROW, BUILD_NO_COLUMN, BUILD_BAD_BYTES, BUILD_LANGUAGE, BUILD_CONTAMINATED,
	BUILD_EXACT, BUILD_NEAR, BUILD_RULES, BUILD_REASONS = BUILD_RULES + RULES_MOST
};

struct build_tally {
	uint64_t documents, lines, bytes;       /* left out, or of a rule of lines lines; bytes of them */
	json_t *examples;
};

struct build_file { uint64_t documents, kept, bytes; char hash[33]; enum input_kind kind; bool damaged; };
struct build_place { uint32_t file; uint32_t line; };   /* of a kept document */

struct build_log {
	const struct corpus *c;
	struct build_tally tally[BUILD_REASONS];
	struct clean_counts cleaned;
	uint64_t documents, kept, bytes; /* read; of them kept; of texts as they came */
	uint64_t cut, unknown;           /* texts that go on as another document; tokens <unk> */
	uint64_t damaged, left_out;              /* files */
	struct build_file *files;                /* [n] */
	json_t *languages;                       /* documents of each; NULL where none is asked for */
	struct { uint64_t documents, tokens, bytes; } of[SHARDS_SOURCES][SHARDS_SPLITS];
};

/* Where a build is, between two batches. */
struct build_at {
	size_t file;                    /* that is read; of its texts those that the log counts are done */
	uint64_t before;                /* bytes of the files before it */
	struct corpus_progress progress; /* but the file's name */
};

/* build_save.c: what a build has to know to go on, and back. −1: it is damaged. */
json_t *build_save(const struct build_log *l, const struct build_at *a);
int build_restore(struct build_log *l, struct build_at *a, const json_t *j, struct err *e);
/* Hash of all that its bytes depend on but the texts themselves, whose files are told by length and time. */
void build_identity(const struct build_log *l, const struct decontaminate *d, char hex[33]);

void build_log_begin(struct build_log *l, const struct corpus *c);
/* A document that is left out, or stays with some lines less. text: its beginning is the example; what: said beside, or
 * NULL. */
void build_log_out(struct build_log *l, size_t reason, uint32_t file, uint64_t line, const char *text, size_t n,
                   double value, const char *what);
void build_log_lines(struct build_log *l, size_t rule, uint64_t lines, uint64_t bytes);
void build_log_line(struct build_log *l, size_t rule, uint32_t file, uint64_t line, const char *text);
/* What report.json has; what the manifest has of how it was made; a line a file. */
json_t *build_log_report(const struct build_log *l, const struct decontaminate *d);
json_t *build_log_built(const struct build_log *l);
void build_log_files(const struct build_log *l, struct buf *out);
/* −1 and why, where nothing is left. */
int build_log_check(const struct build_log *l, struct err *e);
void build_log_release(struct build_log *l);

#endif
