/** The tables of migrations 0100 … 0109: quotas, and what a server has beside its disks and ports. */
export interface LifecycleTables {
  quota_limit: { project_id: string; user_id: string; resource: string; hard_limit: number };
  quota_class_limit: { class: string; resource: string; hard_limit: number };
}
