import { useQuery } from '@tanstack/react-query';
import { Button } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { deleteImage, type Image, imageList } from '../api/resources.ts';
import { isAdmin } from '../api/session.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { formatBytes, formatMib } from '../model/formats.ts';

const UploadDialog = lazy(async () => ({ default: (await import('../dialogs/upload-image.tsx')).UploadImageDialog }));

const isBeingFilled = ({ status }: Image): boolean => status === 'queued' || status === 'saving' || status === 'importing';

export function Images() {
  const api = useApi();
  const [uploading, setUploading] = useState(false);
  // No event tells of an image's data: looked at again while one is being filled.
  const images = useQuery({
    ...imageList(api),
    refetchInterval: ({ state }) => (state.data?.some(isBeingFilled) === true ? 2_000 : false),
  });
  const { run } = useChange('image');
  const mayDelete = (image: Image): boolean => !image.protected && (isAdmin(api.session) || image.owner === api.session.project.id);
  const columns: readonly Column<Image>[] = [
    { key: 'name', title: 'Name', sortBy: (image) => image.name ?? '', render: (image) => <strong>{image.name ?? image.id}</strong> },
    { key: 'id', title: 'ID', className: 'wide', render: (image) => <CopyableId id={image.id} short what={image.name ?? 'the image'} /> },
    {
      key: 'status',
      title: 'Status',
      sortBy: (image) => image.status,
      render: (image) => (
        <span className={`status ${image.status === 'active' ? 'good' : image.status === 'killed' ? 'bad' : 'busy'}`}>{image.status}</span>
      ),
    },
    { key: 'visibility', title: 'Visibility', sortBy: (image) => image.visibility, render: (image) => image.visibility },
    { key: 'format', title: 'Format', sortBy: (image) => image.disk_format ?? '', render: (image) => image.disk_format ?? '–' },
    { key: 'size', title: 'Size', className: 'number', sortBy: (image) => image.size ?? 0, render: (image) => formatBytes(image.size) },
    {
      key: 'needs',
      title: 'Needs',
      render: (image) => needsOf(image),
    },
    {
      key: 'actions',
      title: 'Actions',
      className: 'pinned',
      width: 84,
      render: (image) =>
        mayDelete(image) && (
          <DeleteButton
            what="image"
            name={image.name ?? image.id}
            onDelete={() => run(`Image ${image.name ?? image.id} deleted`, () => deleteImage(api, image.id))}
          />
        ),
    },
  ];
  return (
    <>
      <PageHead title="Images">
        <Button type="primary" onClick={() => setUploading(true)}>
          Upload Image
        </Button>
      </PageHead>
      {images.isError && <Problem error={images.error} what="The images could not be listed." />}
      <DataTable<Image>
        label="Images"
        columns={columns}
        rows={images.data ?? []}
        rowKey={(image) => image.id}
        loading={images.isPending}
        empty="There are no images. Upload a qcow2 or raw disk to launch instances from."
      />
      {uploading && (
        <Suspense>
          <UploadDialog onClose={() => setUploading(false)} />
        </Suspense>
      )}
    </>
  );
}

/** What a flavor must have at least. */
const needsOf = ({ min_ram, min_disk }: Image): string =>
  [...(min_ram === 0 ? [] : [formatMib(min_ram)]), ...(min_disk === 0 ? [] : [`${min_disk} GiB`])].join(', ') || '–';
