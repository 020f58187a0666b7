/* A disk for tests, loaded before the program (LD_PRELOAD): it journals what is written to the files of
 * a directory, so that a test can take back what was not synced, and it fails when it is told to.
 *
 *   TEST_DISK_DIRECTORY  the directory
 *   TEST_DISK_JOURNAL    what happens to its files is appended here
 *   TEST_DISK_FAULTS     a file of three bytes: writes, syncs, reads fail with EIO where one is not 0
 *
 * A sync only notes what it covers: the writes that had ended when it began. Creation and removal of
 * files are durable at once. The index of the write-ahead log is memory, which a power cut takes
 * anyway. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITES, SYNCS, READS };

/* A record of the journal, before the name, the old bytes and the new ones. */
struct record {
    uint8_t kind; /* w: write, t: truncate, s: sync, f: sync that failed, u: unlink */
    uint8_t name;
    uint16_t unused;
    uint32_t old;
    uint32_t new;
    uint32_t unused_too;
    uint64_t offset; /* of s: the number of records that it covers */
    uint64_t size;   /* of the file before */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *directory;
static int journal = -1;
static uint64_t count;
static volatile unsigned char *faults;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TEST_DISK_JOURNAL");
    if (path) journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    path = getenv("TEST_DISK_FAULTS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *map = mmap(NULL, 3, PROT_READ, MAP_SHARED, file, 0);
        if (map != MAP_FAILED) faults = map;
        close(file);
    }
    directory = getenv("TEST_DISK_DIRECTORY");
}

static int fails(int what) {
    if (!faults || !faults[what]) return 0;
    errno = EIO;
    return 1;
}

/* Returns the name of a file of the directory; NULL for others. */
static const char *within(const char *path) {
    size_t length = directory ? strlen(directory) : 0;
    if (!length || strncmp(path, directory, length) || path[length] != '/') return NULL;
    const char *name = path + length + 1, *end = strrchr(name, '-');
    return end && !strcmp(end, "-shm") ? NULL : name;
}

static const char *named(int fd, char path[4096]) {
    char link[32] = "/proc/self/fd/", digits[12];
    int length = 0, at = 14;
    if (fd < 0 || !directory) return NULL;
    do digits[length++] = '0' + fd % 10; while (fd /= 10);
    while (length) link[at++] = digits[--length];
    ssize_t read = readlink(link, path, 4095);
    if (read < 0) return NULL;
    path[read] = 0;
    return within(path);
}

static void append(struct record record, const char *name, const void *old, const void *new) {
    if (journal < 0) return;
    size_t length = strlen(name), size = sizeof record + length + record.old + record.new;
    char *all = malloc(size), *at = all;
    record.name = length;
    memcpy(at, &record, sizeof record);
    memcpy(at += sizeof record, name, length);
    if (record.old) memcpy(at + length, old, record.old);
    if (record.new) memcpy(at + length + record.old, new, record.new);
    syscall(SYS_write, journal, all, size);
    free(all);
    count++;
}

/* Journals that bytes are replaced, and those between two sizes if it is truncated. */
static void change(int fd, const char *name, char kind, const void *new, size_t length, off_t offset) {
    struct stat file;
    if (journal < 0 || fstat(fd, &file)) return;
    size_t end = kind == 't' ? (size_t)file.st_size : offset + length;
    size_t old = end > (size_t)offset ? end - offset : 0;
    char *bytes = old ? malloc(old) : NULL;
    ssize_t read = old ? syscall(SYS_pread64, fd, bytes, old, offset) : 0;
    struct record record = {.kind = kind, .old = read > 0 ? read : 0, .new = length,
                            .offset = offset, .size = file.st_size};
    append(record, name, bytes, new);
    free(bytes);
}

static ssize_t put(int fd, const void *bytes, size_t length, off_t offset, int moves) {
    char path[4096];
    const char *name = named(fd, path);
    if (!name) {
        if (moves) return syscall(SYS_write, fd, bytes, length);
        return syscall(SYS_pwrite64, fd, bytes, length, offset);
    }
    if (fails(WRITES)) return -1;
    pthread_mutex_lock(&lock);
    if (moves) offset = lseek(fd, 0, SEEK_CUR);
    change(fd, name, 'w', bytes, length, offset);
    ssize_t done = moves ? syscall(SYS_write, fd, bytes, length)
                         : syscall(SYS_pwrite64, fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return put(fd, bytes, length, 0, 1); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return put(fd, bytes, length, offset, 0);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    return put(fd, bytes, length, offset, 0);
}

static int cut(int fd, off_t length) {
    char path[4096];
    const char *name = named(fd, path);
    if (name && fails(WRITES)) return -1;
    pthread_mutex_lock(&lock);
    if (name) change(fd, name, 't', NULL, 0, length);
    int done = syscall(SYS_ftruncate, fd, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int sync_file(int fd, long number) {
    char path[4096];
    const char *name = named(fd, path);
    if (!name) return syscall(number, fd);
    int failed = fails(SYNCS);
    pthread_mutex_lock(&lock);
    struct record record = {.kind = failed ? 'f' : 's', .offset = count};
    pthread_mutex_unlock(&lock);
    /* As long as a disk takes, so that others go on writing meanwhile. */
    usleep(500);
    pthread_mutex_lock(&lock);
    append(record, name, NULL, NULL);
    pthread_mutex_unlock(&lock);
    if (failed) errno = EIO;
    return failed ? -1 : 0;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

static ssize_t get(int fd, void *bytes, size_t length, off_t offset) {
    char path[4096];
    if (faults && faults[READS] && named(fd, path) && fails(READS)) return -1;
    return syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return get(fd, bytes, length, offset); }
ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) { return get(fd, bytes, length, offset); }

ssize_t read(int fd, void *bytes, size_t length) {
    char path[4096];
    if (faults && faults[READS] && named(fd, path) && fails(READS)) return -1;
    return syscall(SYS_read, fd, bytes, length);
}

int unlink(const char *path) {
    int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    const char *name = within(path);
    pthread_mutex_lock(&lock);
    if (name) append((struct record){.kind = 'u'}, name, NULL, NULL);
    int done = next(path);
    pthread_mutex_unlock(&lock);
    return done;
}
