/* corpus_mix: which files are which source of a corpus: --mix's names, or each word of the command line one. */
#ifndef CMD_CORPUS_MIX_H
#define CMD_CORPUS_MIX_H

#include "base/arena.h"
#include "corpus/build.h"

struct corpus_mix {
	struct corpus_source *sources;
	size_t n;
	struct input_list files;
	size_t n_outside;               /* files of the words that --mix has in no source */
	const char *outside;            /* the first of them */
	struct arena mem;
};

/* paths: the command's words. mix: "web:0.7,books:0.3:4", a name, a weight and how often at most; or NULL. A name is
 * that of a word, or of something in a folder that is a word. From zeros; released after an error too. */
int corpus_mix_make(struct corpus_mix *m, const char *const *paths, size_t n, const char *mix, struct err *e);
void corpus_mix_release(struct corpus_mix *m);

#endif
