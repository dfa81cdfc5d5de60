/* generate_known: what a model's files ask of generating. Its ends are used (generate.h). How an answer is drawn is
 * told by options alone, the likeliest token where none is given, so that an answer is the same whatever a file says:
 * what a file asks for is named once, as the options that would do it, and what is not done at all, by its key.
 * transformers, vLLM and llama.cpp take a file's wishes as defaults. */
#ifndef INFER_GENERATE_KNOWN_H
#define INFER_GENERATE_KNOWN_H

#include "format/settings.h"
#include "model/model.h"

extern const struct setting generate_known[];        /* generation_config.json */
extern const struct setting generate_gguf_known[];   /* GGUF's "general.sampling." and suppressed tokens */

/* Who knows whether an option was given ("top-k"). */
struct generate_given {
	bool (*is)(const void *ctx, const char *option);
	const void *ctx;
};
/* Appends the options by which the files would draw ("--temperature 0.6 --top-k 20"), without those that were given;
 * none that draws where --temperature was. */
void generate_asks(const struct model *m, const struct generate_given *given, struct buf *out);
/* All of it, and the ends, as warnings; -1 and a sentence for a value that is none. */
int generate_tell(const struct model *m, const struct generate_given *given, struct err *e);

#endif
