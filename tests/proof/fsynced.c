/* The strictest disk there may be: a file holds what it held when it was last fsynced, and nothing that came later.
 *
 * Loaded in front of libc (LD_PRELOAD). Of every database (.db, .db-wal) in the folder FSYNCED_IN it keeps in the
 * folder FSYNCED_TO what a power loss would leave: the bytes that the file held right before an fsync that succeeded.
 *
 * They are read before the real call: what another thread writes during it is not safe yet. One call at a time, so that
 * an older state never takes the place of a newer one. They are read from the very descriptor, since whoever closes
 * another one of the same file loses all of SQLite's locks on it (fcntl(2), advisory record locking).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef int (*Sync)(int);

static void fail(const char *what) {
    perror(what);
    _exit(70); /* a proof that has lost count must not go on */
}

static int ends_in(const char *path, const char *end) {
    size_t length = strlen(path), wanted = strlen(end);
    return length >= wanted && strcmp(path + length - wanted, end) == 0;
}

/* The name of a database's file in the folder; NULL: it is none. */
static const char *name_of(int file, char *path) {
    const char *folder = getenv("FSYNCED_IN");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (folder == NULL || length < 0)
        return NULL;
    path[length] = 0;
    size_t inside = strlen(folder);
    if (strncmp(path, folder, inside) != 0 || path[inside] != '/' || strchr(path + inside + 1, '/') != NULL)
        return NULL;
    return ends_in(path, ".db") || ends_in(path, ".db-wal") ? path + inside + 1 : NULL;
}

static void copy(int from, const char *to) {
    static char bytes[1 << 20]; /* one call at a time */
    int copied = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (copied < 0)
        fail(to);
    ssize_t length;
    for (off_t at = 0; (length = pread(from, bytes, sizeof bytes, at)) > 0; at += length)
        if (write(copied, bytes, (size_t)length) != length)
            fail(to);
    if (length < 0)
        fail(to);
    close(copied);
}

static int synced(int file, const char *call) {
    Sync real = (Sync)dlsym(RTLD_NEXT, call);
    const char *to = getenv("FSYNCED_TO");
    char path[PATH_MAX], whole[PATH_MAX], half[PATH_MAX];
    const char *name = name_of(file, path);
    if (name == NULL || to == NULL)
        return real(file);

    snprintf(whole, sizeof whole, "%s/.one-at-a-time", to);
    int lock = open(whole, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        fail(whole);
    snprintf(whole, sizeof whole, "%s/%s", to, name);
    snprintf(half, sizeof half, "%s/.half", to);
    copy(file, half);
    int result = real(file);
    if (result == 0 && rename(half, whole) != 0)
        fail(whole);
    close(lock);
    return result;
}

int fsync(int file) { return synced(file, "fsync"); }

int fdatasync(int file) { return synced(file, "fdatasync"); }
