/* stream: thin over zlib's gzFile, which reads what is no gzip as it is. That a member ends too soon is told by gzerror
 * alone. */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

enum { PIECE = 1 << 18, MOST_READ = 1 << 30 };

struct stream {
	gzFile file;
	char *path;
	bool damaged;
};

int stream_open(struct stream **out, const char *path, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe that nobody writes is not waited for */

	*out = NULL;
	if (!*path)
		return err_set(e, "cannot open an empty name; that of a file was wanted");
	if (fd < 0)
		return err_set(e, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, "cannot read %s: it is not a regular file, which can be read again after a stop",
		               path);
	}
	gzFile file = gzdopen(fd, "rb");
	if (!file) {
		close(fd);
		return err_set(e, "cannot read %s: there is no memory for it", path);
	}
	gzbuffer(file, PIECE);
	*out = mem_alloc(sizeof(**out));
	**out = (struct stream){ .file = file, .path = mem_strdup(path) };
	return 0;
}

int64_t stream_read(struct stream *s, void *data, size_t n, struct err *e)
{
	size_t done = 0;
	int code = Z_OK, got = 1;

	while (done < n && got > 0) {
		got = gzread(s->file, (char *)data + done, (unsigned)MIN(n - done, (size_t)MOST_READ));
		done += got > 0 ? (size_t)got : 0;
	}
	if (done < n)
		gzerror(s->file, &code);
	if (code == Z_ERRNO)
		return err_set(e, "cannot read %s: %s", s->path, strerror(errno));
	s->damaged |= code != Z_OK && code != Z_STREAM_END;
	return (int64_t)done;
}

bool stream_damaged(const struct stream *s) { return s->damaged; }

uint64_t stream_at(struct stream *s)
{
	z_off_t at = gzoffset(s->file);
	return at < 0 ? 0 : (uint64_t)at;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	gzclose_r(s->file);
	mem_free(s->path);
	mem_free(s);
}
