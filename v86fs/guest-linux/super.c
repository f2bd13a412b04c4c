// SPDX-License-Identifier: GPL-2.0-only
/* super.c - mounting. */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "v86fs.h"

static struct kmem_cache *inode_cache;

static struct inode *v86fs_alloc_inode(struct super_block *sb)
{
	struct v86fs_inode *node = alloc_inode_sb(sb, inode_cache, GFP_KERNEL);

	if (!node)
		return NULL;
	node->id = 0;
	node->version = 0;
	atomic_set(&node->changes, 0);
	return &node->vfs;
}

static void v86fs_free_inode(struct inode *inode)
{
	kmem_cache_free(inode_cache, v86fs_i(inode));
}

static int v86fs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	buf->f_type = V86FS_MAGIC;
	buf->f_namelen = V86FS_NAME_MAX;
	return v86fs_call_statfs(v86fs_sb(dentry->d_sb)->dev, buf);
}

static int v86fs_show_options(struct seq_file *file, struct dentry *root)
{
	const char *name = v86fs_sb(root->d_sb)->name;

	if (*name)
		seq_show_option(file, "name", name);
	return 0;
}

static const struct super_operations super_ops = {
	.alloc_inode = v86fs_alloc_inode,
	.free_inode = v86fs_free_inode,
	.statfs = v86fs_statfs,
	.show_options = v86fs_show_options,
};

static int fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct v86fs_super *super = sb->s_fs_info;
	struct v86fs_node node;
	struct inode *root;
	int err;

	sb->s_magic = V86FS_MAGIC;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_flags |= SB_NOATIME; /* the device keeps no access times */
	sb->s_op = &super_ops;
	sb->s_d_op = &v86fs_dentry_ops;
	err = super_setup_bdi(sb); /* without it nothing is read ahead */
	if (err)
		return err;
	err = v86fs_call_mount(super->dev, super->name, &node);
	if (err)
		return err;
	if (!S_ISDIR(node.mode))
		return -EIO;
	root = v86fs_inode_get(sb, &node);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = d_make_root(root);
	if (!sb->s_root)
		return -ENOMEM;
	super->sb = sb;
	mutex_lock(&super->dev->supers_lock);
	list_add_tail(&super->entry, &super->dev->supers);
	mutex_unlock(&super->dev->supers_lock);
	return 0;
}

/* ---- mount options ---- */

enum { OPTION_NAME };

static const struct fs_parameter_spec parameters[] = {
	__fsparam(fs_param_is_string, "name", OPTION_NAME,
		  fs_param_can_be_empty, NULL),
	{},
};

static int parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct v86fs_super *super = fc->s_fs_info;
	struct fs_parse_result result;
	int option = fs_parse(fc, parameters, param, &result);

	if (option < 0)
		return option;
	if (strlen(param->string) > V86FS_NAME_MAX)
		return invalf(fc, "v86fs: name is longer than %d bytes",
			      V86FS_NAME_MAX);
	strscpy(super->name, param->string, sizeof(super->name));
	return 0;
}

static int get_tree(struct fs_context *fc)
{
	struct v86fs_super *super = fc->s_fs_info;

	super->dev = v86fs_device_get();
	if (!super->dev)
		return invalf(fc, "v86fs: there is no device");
	return get_tree_nodev(fc, fill_super);
}

static void super_free(struct v86fs_super *super)
{
	if (super && super->dev)
		v86fs_device_put(super->dev);
	kfree(super);
}

/* Only what no superblock has taken over. */
static void free_context(struct fs_context *fc)
{
	super_free(fc->s_fs_info);
}

static const struct fs_context_operations context_ops = {
	.parse_param = parse_param,
	.get_tree = get_tree,
	.free = free_context,
};

static int init_context(struct fs_context *fc)
{
	struct v86fs_super *super = kzalloc(sizeof(*super), GFP_KERNEL);

	if (!super)
		return -ENOMEM;
	INIT_LIST_HEAD(&super->entry);
	fc->s_fs_info = super;
	fc->ops = &context_ops;
	return 0;
}

/* Notifications must not find it any more before its inodes go. */
static void kill_super(struct super_block *sb)
{
	struct v86fs_super *super = sb->s_fs_info;

	if (super && super->dev) {
		mutex_lock(&super->dev->supers_lock);
		list_del_init(&super->entry);
		mutex_unlock(&super->dev->supers_lock);
	}
	kill_anon_super(sb);
	super_free(super);
}

static struct file_system_type v86fs_type = {
	.owner = THIS_MODULE,
	.name = "v86fs",
	.init_fs_context = init_context,
	.parameters = parameters,
	.kill_sb = kill_super,
};

static void inode_init_once_v86fs(void *object)
{
	struct v86fs_inode *node = object;

	inode_init_once(&node->vfs);
}

int v86fs_super_register(void)
{
	int err;

	inode_cache = kmem_cache_create(
		"v86fs_inode", sizeof(struct v86fs_inode), 0,
		SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, inode_init_once_v86fs);
	if (!inode_cache)
		return -ENOMEM;
	err = register_filesystem(&v86fs_type);
	if (err)
		kmem_cache_destroy(inode_cache);
	return err;
}

void v86fs_super_unregister(void)
{
	unregister_filesystem(&v86fs_type);
	rcu_barrier(); /* inodes are freed behind it */
	kmem_cache_destroy(inode_cache);
}
