/* sources_options: the options by which a command puts documents before what is asked (infer/sources.h). */
#ifndef CMD_INDEX_SOURCES_OPTIONS_H
#define CMD_INDEX_SOURCES_OPTIONS_H

#include "base/opt.h"
#include "cmd/command.h"
#include "infer/sources.h"

struct sources_options {
	const char *documents, *retriever, *template_;
	int64_t num;
	bool citations;                /* of generate and chat (citations.h) */
	double citation_threshold;
};

#define SOURCES_GROUP "Documents"
#define SOURCES_NUM "4"
#define SOURCES_OPTS(s, f) \
	OPT_GROUP(SOURCES_GROUP), \
		OPT_STRING("documents", s, f.documents, NULL, "docs.db", \
	                   "an index (kungfu index build): what it finds stands before what is asked, numbered"), \
		OPT_INT("num-documents", s, f.num, SOURCES_NUM, 1, SOURCES_MOST, "so many chunks"), \
		OPT_CHOICE("retriever", s, f.retriever, "auto", "auto|bm25|dense|hybrid", \
	                   "words, vectors, or both (auto: both where the index has vectors)"), \
		OPT_STRING("documents-template", s, f.template_, NULL, "TEXT", \
	                   "how they stand, with {documents} and {question} in it; @FILE: the file's bytes")

static inline bool sources_wanted(const struct sources_options *o) { return o->documents != NULL; }
/* As `kungfu adapt` left it (sources_how_of). */
void sources_of_artefact(struct sources_options *o, const json_t *documents);
/* What cannot be meant together, as a sentence, or NULL. */
const char *sources_contradiction(const struct sources_options *o);
/* tokenizer: of the model that is asked; borrowed. watched: as sources_how has it. sources_close in any case. */
int sources_open(struct sources *s, const struct sources_options *o, struct app *app,
                 const struct tokenizer *tokenizer, bool watched, struct err *e);

#endif
